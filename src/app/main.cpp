#include <dualbus/app/server.hpp>
#include <dualbus/base/log.hpp>
#include <dualbus/base/version.hpp>
#include <dualbus/command/command_reference.hpp>
#include <dualbus/config/loader.hpp>
#include <dualbus/config/reference.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace {

using dualbus::config::load_result;

// Programs send them to each other by agreement, and timers send some; left alone, they end a process.
constexpr int meaningless_signals[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM};

// Standard error may be a pipe that nobody reads; the daemon ends all the same.
constexpr std::chrono::seconds last_words_time{1};

int check(const std::string& path) {
  const load_result loaded = dualbus::config::load(path);
  for (const std::string& warning : loaded.warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  for (const std::string& mistake : loaded.mistakes) std::fprintf(stderr, "%s\n", mistake.c_str());
  if (!loaded.value) return 1;
  std::printf("%s: ok\n", path.c_str());
  return 0;
}

// SIGHUP would end the daemon before it can be heard; so it waits until then.
void hold_reloads(bool hold) {
  sigset_t reload;
  sigemptyset(&reload);
  sigaddset(&reload, SIGHUP);
  pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &reload, nullptr);
}

// Serves until SIGTERM or SIGINT; SIGHUP reloads.
void serve(dualbus::app::server& server, const std::string& path) {
  boost::asio::io_context io(1);
  // Apart, so that no number of reloads keeps the daemon from stopping.
  boost::asio::signal_set stop_signals(io, SIGTERM, SIGINT);
  boost::asio::signal_set reload_signals(io, SIGHUP);
  server.start();
  // They mean nothing to the daemon, and shall not end it.
  boost::asio::signal_set other_signals(io);
  for (const int signal : meaningless_signals) other_signals.add(signal);
  std::function<void(const boost::system::error_code&, int)> on_other = [&](const auto& error, int signal) {
    if (error) return;
    dualbus::base::info_limited({}, "signal {} means nothing to dualbusd: ignored", sigabbrev_np(signal));
    other_signals.async_wait(on_other);
  };
  other_signals.async_wait(on_other);
  std::function<void(const boost::system::error_code&, int)> on_reload = [&](const auto& error, int) {
    if (error) return;
    server.reload(path);
    reload_signals.async_wait(on_reload);
  };
  reload_signals.async_wait(on_reload);
  hold_reloads(false);
  stop_signals.async_wait([&](const auto&, int) {
    server.stop();
    io.stop();
  });
  io.run();
  // Asio gives the default action back, and who is told again in the middle of leaving shall not seem to have
  // failed. Only this thread, and those that block every signal, are left.
  sigset_t told;
  sigemptyset(&told);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&told, signal);
  for (const int signal : meaningless_signals) sigaddset(&told, signal);
  pthread_sigmask(SIG_BLOCK, &told, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  hold_reloads(true);
  CLI::App options("dualbusd: one Redis for its clients, several buses behind it");
  std::string path = "/etc/dualbus/dualbus.yaml";
  std::string to_check;
  bool reference = false;
  options.add_option("-c,--config", path, "YAML configuration file")->capture_default_str();
  const CLI::Option* check_only =
      options
          .add_option("--check-config", to_check,
                      "check a configuration file (without one, --config's), report every "
                      "mistake, and leave")
          ->expected(0, 1)
          ->type_name("[FILE]");
  options.add_flag("--config-reference", reference,
                   "print the documentation of every configuration key, and leave");
  bool commands = false;
  options.add_flag("--command-reference", commands, "print what becomes of every command, and leave");
  options.set_version_flag("-v,--version", std::string("dualbusd ") + dualbus::base::version);
  CLI11_PARSE(options, argc, argv);

  if (reference) {
    std::fputs(dualbus::config::reference_markdown().c_str(), stdout);
    return 0;
  }
  if (commands) {
    std::fputs(dualbus::command::command_reference_markdown().c_str(), stdout);
    return 0;
  }
  if (check_only->count() > 0) return check(to_check.empty() ? path : to_check);

  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : meaningless_signals) std::signal(signal, SIG_IGN);
  const struct last_words {
    ~last_words() { dualbus::base::flush_log(last_words_time); }
  } flush_at_the_end;
  try {
    dualbus::base::init_log("info");
    const load_result loaded = dualbus::config::load(path);
    for (const std::string& warning : loaded.warnings) spdlog::warn("{}", warning);
    for (const std::string& mistake : loaded.mistakes) spdlog::error("{}", mistake);
    if (!loaded.value) return 1;
    dualbus::base::set_log_level(loaded.value->log_level);
    spdlog::info("dualbusd {} starting, configuration {}", dualbus::base::version, path);
    dualbus::app::server server(loaded.value);
    serve(server, path);
    return 0;
  } catch (const std::exception& error) {
    spdlog::error("cannot start: {}", error.what());
    return 1;
  }
}
