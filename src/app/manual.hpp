#pragma once

#include <string>

namespace CLI {
class App;
}

namespace dualbus::app {

/// The manual page dualbusd(8), with the options of `program`.
std::string program_manual(const CLI::App& program);

/// Completion for bash of the options of `program`.
std::string bash_completion(const CLI::App& program);

}  // namespace dualbus::app
