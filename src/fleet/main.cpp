#include "fleet.hpp"
#include "options.hpp"
#include "report.hpp"

#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>

namespace {

using namespace dualbus::fleet;

constexpr int check_failed = 1, could_not_run = 2;

int run(const options& o) {
  // Opened before the run, so that a path that cannot be written costs nobody a minute.
  std::ofstream json;
  if (!o.json_file.empty()) {
    json.open(o.json_file);
    if (!json) throw std::runtime_error("cannot write " + o.json_file);
  }
  fleet engines(o);
  if (const auto problem = engines.run()) {
    std::fprintf(stderr, "dualbus-fleet: %s: %s\n", to_string(o.server).c_str(), problem->c_str());
    return could_not_run;
  }
  std::fputs(text_report(o, engines).c_str(), stdout);
  if (json.is_open()) json << json_report(o, engines);
  return !o.check || engines.passed() ? 0 : check_failed;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    int exit_status = 0;
    const auto o = parse_options(argc, argv, exit_status);
    return o ? run(*o) : exit_status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dualbus-fleet: %s\n", error.what());
    return could_not_run;
  }
}
