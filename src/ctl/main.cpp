#include "answers.hpp"
#include "api_client.hpp"
#include "top.hpp"

#include <dualbus/base/version.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/console/dry_run.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

namespace {

using namespace dualbus;
using namespace dualbus::ctl;

enum exit_status { done = 0, refused = 1, wrong_usage = 2, no_answer = 3 };

struct options {
  std::string url = "http://127.0.0.1:9121";
  bool json = false;
  std::string what, order, bus, file;
  bool all = false, once = false;
  std::vector<std::string> words;
};

void print_table(const options& o, const std::string& body) {
  console::table found = read_table(body);
  if (!o.order.empty() && !found.rows.empty() && !sort_by(found, o.order))
    throw std::invalid_argument("there is no column '" + o.order + "'");
  for (const std::string& line : console::lines_of(found)) std::puts(line.c_str());
}

// The answer as people read it, or as it came.
int ask(const api_client& daemon, const options& o, const std::string& target, bool is_table) {
  const http_answer answer = daemon.get(target);
  if (answer.status != 200) {
    std::fprintf(stderr, "dualbusctl: %s\n", read_error(answer.body).c_str());
    return refused;
  }
  if (o.json) {
    std::fputs(answer.body.c_str(), stdout);
  } else if (is_table) {
    print_table(o, answer.body);
  } else {
    std::fputs(read_record(answer.body).c_str(), stdout);
  }
  return done;
}

int is_ready(const api_client& daemon, const options& o) {
  const std::string query = o.all ? "?all" : o.bus.empty() ? "" : "?bus=" + encoded(o.bus);
  const http_answer answer = daemon.get("/readyz" + query);
  std::fputs(answer.body.c_str(), answer.status == 200 ? stdout : stderr);
  return answer.status == 200 ? done : refused;
}

// What the rules of a file would do to the messages of the last minute.
int forecast_rules(const api_client& daemon, const options& o) {
  const config::load_result loaded = config::load(o.file);
  for (const std::string& line : loaded.mistakes) std::fprintf(stderr, "%s\n", line.c_str());
  if (!loaded.value) return refused;
  const http_answer answer = daemon.get("/api/v1/types");
  if (answer.status != 200) {
    std::fprintf(stderr, "dualbusctl: %s\n", read_error(answer.body).c_str());
    return refused;
  }
  const command::routing_table rules(loaded.value->routing);
  const console::forecast found = console::dry_run(rules, console::flows_of(read_table(answer.body)));
  for (const std::string& line : console::lines_of(found.messages)) std::puts(line.c_str());
  std::printf("\n%s messages per second would go to another bus\n", console::text_of(found.moving).c_str());
  for (const std::string& rule : found.unused)
    std::printf("rule %s: no message of the last minute needs it\n", rule.c_str());
  return done;
}

int run(CLI::App& app, const options& o) {
  const api_client daemon(o.url);
  if (app.got_subcommand("show")) return ask(daemon, o, "/api/v1/" + o.what, o.what != "version");
  if (app.got_subcommand("ready")) return is_ready(daemon, o);
  if (app.got_subcommand("dryrun")) return forecast_rules(daemon, o);
  if (app.got_subcommand("explain")) {
    std::string query;
    for (const std::string& word : o.words) query += (query.empty() ? "?arg=" : "&arg=") + encoded(word);
    return ask(daemon, o, "/api/v1/explain" + query, false);
  }
  if (o.once) {
    std::fputs(top_screen(daemon, {}, 1000, 1000).c_str(), stdout);
    return done;
  }
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
    throw std::invalid_argument("top needs a terminal, or --once");
  return run_top(daemon);
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Shows what dualbusd does: it asks the daemon's admin listener and changes nothing.",
               "dualbusctl");
  app.set_version_flag("--version", std::string(base::version));
  app.add_option("--url", o.url, "The admin listener")->envname("DUALBUS_URL")->capture_default_str();
  app.add_flag("--json", o.json, "Print the answer as it came");
  app.require_subcommand(1);
  app.footer("Exit status: 0; 1 if the daemon says no; 2 for wrong usage; 3 if nobody answers.");
  CLI::App* const show = app.add_subcommand("show", "Show a table, with rates over 1, 10 and 60 seconds");
  show->add_option("table", o.what, "The table")
      ->required()
      ->check(CLI::IsMember(
          {"buses", "clients", "config", "engines", "parked", "pools", "rules", "types", "version"}));
  show->add_option("--sort", o.order, "The column to sort by, largest first");
  CLI::App* const explain = app.add_subcommand("explain", "Say what would become of a command");
  explain->add_option("command", o.words, "The command, word by word")->required();
  explain->prefix_command();
  app.add_subcommand("dryrun",
                     "Say what the rules of a configuration would do to the messages of the last minute")
      ->add_option("file", o.file, "The configuration")
      ->required();
  CLI::App* const ready = app.add_subcommand("ready", "Say whether the daemon, or a bus, does its job");
  ready->add_option("--bus", o.bus, "That bus only");
  ready->add_flag("--all", o.all, "Every active bus");
  app.add_subcommand("top", "Show buses, engines, types and clients, once a second")
      ->add_flag("--once", o.once, "Print one screen, and end");
  try {
    app.parse(argc, argv);
    for (const std::string& word : explain->remaining()) o.words.push_back(word);
    return run(app, o);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? done : wrong_usage;
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "dualbusctl: %s\n", e.what());
    return wrong_usage;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "dualbusctl: %s\n", e.what());
    return no_answer;
  }
}
