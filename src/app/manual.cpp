#include "manual.hpp"

#include <dualbus/base/roff.hpp>

#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace dualbus::app {
namespace {

constexpr std::string_view description = R"(## DESCRIPTION

`dualbusd` listens where one Redis did, looks at the `message_type` of every `XADD`, and stores the message on the
Redis server (the bus) where it belongs. A stream whose entries are on several buses reads as one. Clients notice
nothing but the differences that are listed with the documents of this program.

Everything else is set in the configuration file: see dualbus.yaml(5).
)";

constexpr std::string_view behind_the_options = R"(## SIGNALS

`SIGTERM`, `SIGINT`: no new clients; requests in flight are finished, `limits.shutdown_timeout` at most.

`SIGHUP`: the configuration file is read again. A file with a mistake changes nothing. `log.file` is opened anew.

`SIGUSR1`: `/readyz` answers 503, and clients are served as before; after `limits.drain_delay` the daemon ends as at
`SIGTERM`.

`SIGUSR2`: the program is started anew, and takes this process's place without a client noticing. It needs
`control.socket` in the configuration.

## EXIT STATUS

0 after an orderly end, and for a configuration without mistakes; 1 when the daemon cannot start, or the
configuration has mistakes. Other values mean wrong options.

## ENVIRONMENT

`NOTIFY_SOCKET`: where a service manager hears of the state of the daemon, as in sd_notify(3).

`WATCHDOG_USEC`: how often that manager wants to hear that every thread works.

`JOURNAL_STREAM`: set by systemd when standard error is the journal; lines then carry their priority.

The environment variables that `password_env` names in the configuration hold passwords.
)";

// Options that the help leaves out have no group.
std::vector<const CLI::Option*> shown_options(const CLI::App& program) {
  return program.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

std::vector<std::string> words_of(const CLI::Option& option) {
  std::vector<std::string> words;
  for (const std::string& letter : option.get_snames()) words.push_back("-" + letter);
  for (const std::string& name : option.get_lnames()) words.push_back("--" + name);
  return words;
}

std::string entry(const CLI::Option& option) {
  std::string text = ".TP\n";
  std::string_view separator;
  for (const std::string& word : words_of(option)) {
    text.append(separator).append("\\fB").append(base::roff(word)).append("\\fR");
    separator = ", ";
  }
  if (takes_value(option)) {
    const std::string name = option.get_type_name();
    text += " \\fI" + base::roff(name == "TEXT" ? "FILE" : name) + "\\fR";
  }
  text += "\n" + base::roff(option.get_description());
  if (!option.get_default_str().empty()) text += " (" + base::roff(option.get_default_str()) + ")";
  return text + "\n";
}

}  // namespace

std::string program_manual(const CLI::App& program) {
  std::string text = base::roff_title("dualbusd", 8, "System administration");
  text += ".SH NAME\ndualbusd \\- one Redis for its clients, several buses behind it\n";
  text += ".SH SYNOPSIS\n.B dualbusd\n.RI [ OPTIONS ]\n";
  text += base::roff_from_markdown(description) + ".SH OPTIONS\n";
  for (const CLI::Option* option : shown_options(program)) text += entry(*option);
  text += base::roff_from_markdown(behind_the_options);
  return text + ".SH SEE ALSO\n.BR dualbus.yaml (5),\n.BR redis\\-server (1),\n.BR systemctl (1)\n";
}

std::string bash_completion(const CLI::App& program) {
  std::string all, with_file;
  for (const CLI::Option* option : shown_options(program)) {
    for (const std::string& word : words_of(*option)) {
      all += (all.empty() ? "" : " ") + word;
      if (takes_value(*option)) with_file += (with_file.empty() ? "" : " | ") + word;
    }
  }
  return "# bash completion for dualbusd: the output of `dualbusd --bash-completion`.\n"
         "_dualbusd() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "  COMPREPLY=()\n"
         "  if [[ $current == = ]]; then current=; fi\n"
         "  if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
         "  case $previous in\n"
         "    " +
         with_file +
         ")\n"
         "      if [[ $current != -* ]]; then\n"
         "        compopt -o filenames\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "        return\n"
         "      fi\n"
         "      ;;\n"
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W '" +
         all +
         "' -- \"$current\")\n"
         "}\n"
         "complete -F _dualbusd dualbusd\n";
}

}  // namespace dualbus::app
