#include "assembler.hpp"
#include "values.hpp"

#include <dualbus/base/sha256.hpp>
#include <dualbus/command/command_permissions.hpp>

#include <algorithm>
#include <utility>

// The part of the assembler that is about users.
namespace dualbus::config {

void assembler::check_auth() {
  const listen_settings& listen = config_.listen;
  auth_settings& auth = config_.auth;
  if (listen.port != 0 && !is_loopback_address(listen.address) && auth.users.empty() &&
      !auth.allow_unauthenticated && !at_.refused("auth") && !at_.refused("auth.users") &&
      !at_.refused("auth.allow_unauthenticated")) {
    mistake("listen.address", "everybody who reaches " + listen.address + " port " +
                                  std::to_string(listen.port) +
                                  " could use every bus: name users in auth.users, or allow it with "
                                  "auth.allow_unauthenticated: true");
  }
  for (user_settings& user : auth.users) check_user(user);
  warn_of_open_doors();
}

// Warns of what is legal and seldom meant: anybody may do everything.
void assembler::warn_of_open_doors() {
  const listen_settings& listen = config_.listen;
  const auth_settings& auth = config_.auth;
  const auto everything = [](const user_settings& user) {
    command::command_permissions permissions;
    for (const std::string& rule : user.commands) permissions.apply(rule);
    return user.name == "default" && user.enabled && user.no_password && permissions.allows_everything() &&
           std::find(user.keys.begin(), user.keys.end(), "*") != user.keys.end();
  };
  const bool open = std::any_of(auth.users.begin(), auth.users.end(), everything);
  if (open && listen.port != 0 && !is_loopback_address(listen.address)) {
    warning("listen.address", "everybody who reaches " + listen.address + " port " +
                                  std::to_string(listen.port) +
                                  " may do everything without logging in: so says auth.users.default");
  }
  constexpr unsigned everybody_writes = 0002;
  if (!listen.unix_socket.empty() && (listen.unix_socket_mode & everybody_writes) != 0 &&
      (open || (auth.users.empty() && !auth.allow_unauthenticated && !at_.refused("auth") &&
                !at_.refused("auth.users")))) {
    warning("listen.unix_socket_mode",
            "everybody on this machine may do everything through " + quoted(listen.unix_socket) +
                ": take the others' right to write from it, or name users in auth.users");
  }
}

void assembler::check_user(user_settings& user) {
  const std::string path = "auth.users." + user.name;
  if (user.name.empty() || user.name.size() > max_user_name ||
      std::any_of(user.name.begin(), user.name.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    mistake(path, "the name of a user has 1 to " + std::to_string(max_user_name) +
                      " printable ASCII characters without blanks, unlike " + quoted(user.name));
  }
  check_hashes(user, path + ".password_hashes");
  if (auto password = read_password(path, user.password_file, user.password_env)) {
    user.password_hashes.push_back(base::sha256_hex(*password));
  }
  const bool unclear = at_.refused(path + ".password_hashes") || at_.refused(path + ".password_file") ||
                       at_.refused(path + ".password_env") || at_.refused(path + ".nopass");
  if (user.enabled && !user.no_password && user.password_hashes.empty() && user.password_file.empty() &&
      user.password_env.empty() && !unclear) {
    mistake(path, "needs password_hashes, a password_file or password_env, or nopass: true");
  }
  check_commands(user, path + ".commands");
  check_patterns(user.keys, "~%", path + ".keys");
  check_patterns(user.channels, "&", path + ".channels");
}

void assembler::check_hashes(user_settings& user, const std::string& path) {
  for (std::size_t i = 0; i < user.password_hashes.size(); ++i) {
    std::string& hash = user.password_hashes[i];
    if (hash.empty()) continue;  // refused by the reader
    if (hash.front() == '#') hash.erase(0, 1);
    // The text may be the password itself, which messages must not repeat.
    if (!base::is_sha256_hex(hash)) {
      mistake(path + "[" + std::to_string(i) + "]",
              "must be a SHA-256 of 64 hexadecimal digits in lower case, as `printf %s password | sha256sum` "
              "prints it");
    } else if (hash == base::sha256_hex("")) {
      warning(path + "[" + std::to_string(i) + "]",
              "is the hash of the empty password, which lets everybody in");
    }
  }
}

void assembler::check_commands(const user_settings& user, const std::string& path) {
  command::command_permissions permissions;
  for (std::size_t i = 0; i < user.commands.size(); ++i) {
    if (user.commands[i].empty()) continue;
    const std::string& rule = user.commands[i];
    const std::string problem = permissions.apply(rule);
    if (problem.empty()) continue;
    // Redis's ACL takes `>secret` as a password.
    const bool is_rule = rule.front() == '+' || rule.front() == '-';
    mistake(path + "[" + std::to_string(i) + "]", (is_rule ? quoted(rule) + ": " : "") + problem);
  }
}

// Redis's marks would count as a part of the name, and the pattern would allow nothing.
void assembler::check_patterns(const std::vector<std::string>& patterns, std::string_view marks,
                               const std::string& path) {
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const std::string& pattern = patterns[i];
    if (pattern.empty() || marks.find(pattern.front()) == std::string_view::npos) continue;
    mistake(path + "[" + std::to_string(i) + "]",
            "patterns stand here without Redis's '" + pattern.substr(0, 1) +
                "'; one that begins so is written '\\" + pattern.substr(0, 1) + "…'");
  }
}

}  // namespace dualbus::config
