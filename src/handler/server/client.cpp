#include "from_all.hpp"
#include "server_commands.hpp"
#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/client/session.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

// CLIENT: answers about and for the daemon's own clients. Those of all workers are asked for through ask_all.
namespace dualbus::handler {
namespace {

using base::is_word;
using metrics::outcome;

bool is_printable_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

void set_name(session& client, routed_request& request) {
  if (!is_printable_word(request.args[2])) {
    return client.refuse(request, "ERR Client names cannot contain spaces, newlines or special characters.");
  }
  client.set_name(request.args[2]);
  answer_ok(client, request);
}

void get_name(session& client, routed_request& request) {
  client.answer(request, outcome::ok, [&client](resp::encoder& out) {
    const client::session::names* names = client.current_names();
    if (names == nullptr || names->client.empty()) return out.null();
    out.bulk(names->client);
  });
}

void set_info(session& client, routed_request& request) {
  const std::string_view option = request.args[2];
  const bool library = is_word(option, "lib-name");
  if (!library && !is_word(option, "lib-ver")) {
    return client.refuse(request, "ERR Unrecognized option '" + std::string(option) + "'");
  }
  if (!is_printable_word(request.args[3])) {
    return client.refuse(request, "ERR " + std::string(library ? "lib-name" : "lib-ver") +
                                      " cannot contain spaces, newlines or special characters.");
  }
  client::session::names& names = client.mutable_names();
  client.rename(library ? names.library : names.library_version, request.args[3]);
  answer_ok(client, request);
}

void set_switch(session& client, routed_request& request) {
  if (!is_word(request.args[2], "on") && !is_word(request.args[2], "off")) {
    return client.refuse(request, "ERR syntax error");
  }
  answer_ok(client, request);
}

// Redis's eviction of clients spares the clients that ask for it.
void set_evictable(server_services&, session& client, routed_request& request) {
  if (is_word(request.args[2], "on")) client.set_evictable(false);
  if (is_word(request.args[2], "off")) client.set_evictable(true);
  set_switch(client, request);
}

void set_reply_mode(session& client, routed_request& request) {
  using mode = client::reply_queue::mode;
  if (is_word(request.args[2], "on")) {
    client.replies().set_mode(mode::on);
    answer_ok(client, request);
  } else if (is_word(request.args[2], "off")) {
    client.replies().set_mode(mode::off);
  } else if (is_word(request.args[2], "skip")) {
    if (client.replies().current_mode() != mode::off) client.replies().set_mode(mode::skip_next);
  } else {
    client.refuse(request, "ERR syntax error");
  }
}

std::optional<std::vector<std::uint64_t>> parse_ids(resp::arguments texts) {
  std::vector<std::uint64_t> ids;
  for (const std::string_view text : texts) {
    const auto id = base::parse_int64(text);
    if (!id || *id < 1) return std::nullopt;
    ids.push_back(static_cast<std::uint64_t>(*id));
  }
  return ids;
}

bool is_client_type(std::string_view text) {
  for (const std::string_view type : {"normal", "master", "replica", "slave", "pubsub"}) {
    if (is_word(text, type)) return true;
  }
  return false;
}

bool has_type(const session& client, std::string_view type) {
  return is_word(type, client.subscribed() ? "pubsub" : "normal");
}

void list(server_services& services, session& client, routed_request& request) {
  std::vector<std::uint64_t> ids;
  std::string type;
  if (request.args.size() == 4 && is_word(request.args[2], "type")) {
    if (!is_client_type(request.args[3])) {
      return client.refuse(request, "ERR Unknown client type '" + std::string(request.args[3]) + "'");
    }
    type = request.args[3];
  } else if (request.args.size() > 3 && is_word(request.args[2], "id")) {
    const auto parsed = parse_ids(request.args.subspan(3));
    if (!parsed) return client.refuse(request, "ERR Invalid client ID");
    ids = *parsed;
    std::sort(ids.begin(), ids.end());
  } else if (request.args.size() != 2) {
    return client.refuse(request, "ERR syntax error");
  }
  // Redis shows a transaction as one EXEC.
  const std::string running = request.out.staged() ? "" : "client|list";
  const auto question = [ids, type, running, asking = client.id(),
                         bytes = request.raw.size()](colleague& worker) {
    std::string text;
    worker.clients.for_each([&](const session& s) {
      if (!type.empty() && !has_type(s, type)) return;
      if (!ids.empty() && !std::binary_search(ids.begin(), ids.end(), s.id())) return;
      text += (s.id() == asking ? s.describe(running, bytes) : s.describe()) + "\n";
    });
    return text;
  };
  answer_from_all(services, client, request, question,
                  [](resp::encoder& out, const std::vector<std::string>& answers) {
                    out.verbatim(std::accumulate(answers.begin(), answers.end(), std::string()));
                  });
}

struct kill_filter {
  std::optional<std::uint64_t> id;
  std::optional<std::string> address, local_address, user, type;
  std::optional<std::int64_t> max_age_seconds;
  bool skip_me = true;
};

/// Reads the filters of the newer form. Returns the fault found, or nothing.
std::string parse_filter(const client::access_control& access, resp::arguments args, kill_filter& filter) {
  for (std::size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return "ERR syntax error";
    const std::string_view value = args[i + 1];
    if (is_word(args[i], "id")) {
      const auto id = base::parse_int64(value);
      if (!id || *id < 1) return "ERR client-id should be greater than 0";
      filter.id = static_cast<std::uint64_t>(*id);
    } else if (is_word(args[i], "type")) {
      if (!is_client_type(value)) return "ERR Unknown client type '" + std::string(value) + "'";
      filter.type = value;
    } else if (is_word(args[i], "addr")) {
      filter.address = base::as_c_string(value);
    } else if (is_word(args[i], "laddr")) {
      filter.local_address = base::as_c_string(value);
    } else if (is_word(args[i], "user")) {
      if (!access.restricts() ? value != client::default_user : access.find(value) == nullptr) {
        return "ERR No such user '" + std::string(value) + "'";
      }
      filter.user = value;
    } else if (is_word(args[i], "maxage")) {
      filter.max_age_seconds = base::parse_int64(value);
      if (!filter.max_age_seconds || *filter.max_age_seconds < 1)
        return "ERR maxage should be greater than 0";
    } else if (is_word(args[i], "skipme")) {
      if (!is_word(value, "yes") && !is_word(value, "no")) return "ERR syntax error";
      filter.skip_me = is_word(value, "yes");
    } else {
      return "ERR syntax error";
    }
  }
  return {};
}

bool matches(const kill_filter& filter, const session& s, std::uint64_t asking) {
  if (s.leaving() || (filter.skip_me && s.id() == asking)) return false;
  if (filter.type && !has_type(s, *filter.type)) return false;
  if (filter.id && *filter.id != s.id()) return false;
  if (filter.user && *filter.user != s.user_name()) return false;
  if (filter.address && *filter.address != s.peer_address()) return false;
  if (filter.local_address && *filter.local_address != s.local_address()) return false;
  return !filter.max_age_seconds || s.age().count() >= *filter.max_age_seconds;
}

void kill(server_services& services, session& client, routed_request& request) {
  kill_filter filter;
  const bool old_form = request.args.size() == 3;
  if (old_form) {
    filter.address = base::as_c_string(request.args[2]);
    filter.skip_me = false;
  } else if (const std::string fault = parse_filter(services.access(), request.args, filter);
             !fault.empty()) {
    return client.refuse(request, fault);
  }
  const auto question = [filter, asking = client.id()](colleague& worker) {
    std::vector<session*> chosen;
    worker.clients.for_each([&](session& s) {
      if (matches(filter, s, asking)) chosen.push_back(&s);
    });
    for (session* s : chosen) {
      // A client that kills itself still gets the answer.
      if (s->id() == asking) {
        s->close_after_replies(metrics::close_reason::killed);
      } else {
        s->leave(metrics::close_reason::killed);
      }
    }
    return std::to_string(chosen.size());
  };
  answer_from_all(services, client, request, question,
                  [old_form](resp::encoder& out, const std::vector<std::string>& a) {
                    std::int64_t killed = 0;
                    for (const std::string& count : a) killed += std::stoll(count);
                    if (!old_form) return out.integer(killed);
                    if (killed > 0) return out.status("OK");
                    out.error("ERR No such client");
                  });
}

void unblock(server_services& services, session& client, routed_request& request) {
  bool with_error = false;
  if (request.args.size() == 4) {
    with_error = is_word(request.args[3], "error");
    if (!with_error && !is_word(request.args[3], "timeout")) {
      return client.refuse(request, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  } else if (request.args.size() > 4) {
    return client.refuse(request, "ERR unknown subcommand or wrong number of arguments for '" +
                                      std::string(request.args[1].substr(0, 128)) + "'. Try CLIENT HELP.");
  }
  const auto id = base::parse_int64(request.args[2]);
  if (!id) return client.refuse(request, "ERR value is not an integer or out of range");
  const auto question = [wanted = static_cast<std::uint64_t>(*id), with_error](colleague& worker) {
    session* const found = worker.clients.find(wanted);
    return std::string(found != nullptr && found->unblock(with_error) ? "1" : "0");
  };
  answer_from_all(services, client, request, question,
                  [](resp::encoder& out, const std::vector<std::string>& a) {
                    out.integer(std::count(a.begin(), a.end(), "1"));
                  });
}

// Keys of streams lie on several buses, and other keys may change through other workers' connections.
void tracking(server_services&, session& client, routed_request& request) {
  if (is_word(request.args[2], "off")) return answer_ok(client, request);
  if (!is_word(request.args[2], "on")) return client.refuse(request, "ERR syntax error");
  client.refuse(
      request,
      "NOTSUPPORTED client-side caching does not work through dualbusd: read without CLIENT TRACKING");
}

void caching(server_services&, session& client, routed_request& request) {
  client.refuse(
      request,
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT "
      "mode enabled");
}

void tracking_info(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) {
    out.map(3);
    out.bulk("flags");
    out.set(1);
    out.bulk("off");
    out.bulk("redirect");
    out.integer(-1);
    out.bulk("prefixes");
    out.array(0);
  });
}

void get_redirection(server_services&, session& client, routed_request& request) {
  client.answer(request, outcome::ok, [](resp::encoder& out) { out.integer(-1); });
}

void help(server_services&, session& client, routed_request& request) {
  constexpr std::string_view lines[] = {
      "GETNAME",
      "    Return the name of the current connection.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current client connection.",
      "KILL <ip:port>",
      "    Kill connection made from <ip:port>.",
      "KILL <option> <value> [<option> <value> [...]]",
      "    Kill connections. Options: ADDR, LADDR, TYPE, USER, ID, MAXAGE, SKIPME.",
      "LIST [TYPE <type> | ID <id> [...]]",
      "    Return information about client connections.",
      "UNPAUSE",
      "    Stop the current client pause, resuming traffic.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Suspend all, or just write, clients for <timeout> milliseconds.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
      "UNBLOCK <clientid> [TIMEOUT|ERROR]",
      "    Unblock the specified blocked client.",
      "TRACKINGINFO",
      "    Report tracking status for the current connection."};
  answer_help(client, request, "CLIENT", lines);
}

constexpr subcommand subcommands[] = {
    {"caching", 3, caching},
    {"getredir", 2, get_redirection},
    {"help", 2, help},
    {"pause", -3, run_client_pause},
    {"tracking", -3, tracking},
    {"trackinginfo", 2, tracking_info},
    {"unpause", 2, run_client_unpause},
    {"getname", 2, [](server_services&, session& c, routed_request& w) { get_name(c, w); }},
    {"id", 2,
     [](server_services&, session& c, routed_request& w) {
       c.answer(w, outcome::ok, [&c](resp::encoder& out) { out.integer(static_cast<std::int64_t>(c.id())); });
     }},
    {"info", 2,
     [](server_services&, session& c, routed_request& w) {
       const std::string_view running = w.out.staged() ? "" : "client|info";
       c.answer(w, outcome::ok,
                [&](resp::encoder& out) { out.verbatim(c.describe(running, w.raw.size()) + "\n"); });
     }},
    {"kill", -3, kill},
    {"list", -2, list},
    {"no-evict", 3, set_evictable},
    {"no-touch", 3, [](server_services&, session& c, routed_request& w) { set_switch(c, w); }},
    {"reply", 3, [](server_services&, session& c, routed_request& w) { set_reply_mode(c, w); }},
    {"setinfo", 4, [](server_services&, session& c, routed_request& w) { set_info(c, w); }},
    {"setname", 3, [](server_services&, session& c, routed_request& w) { set_name(c, w); }},
    {"unblock", -3, unblock},
};

}  // namespace

void run_client(server_services& services, session& client, routed_request& request) {
  run_subcommand(services, client, request, "client", subcommands);
}

}  // namespace dualbus::handler
