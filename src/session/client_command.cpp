#include "subcommands.hpp"

#include <dualbus/base/c_string.hpp>
#include <dualbus/base/numbers.hpp>
#include <dualbus/session/local_commands.hpp>
#include <dualbus/session/session.hpp>
#include <dualbus/session/worker_context.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

// CLIENT: answers about and for the daemon's own clients. Those of all workers are asked through ask_all.
namespace dualbus::session {
namespace {

using base::is_word;
using metrics::outcome;

bool is_printable_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

void set_name(session& client, const request& what) {
  if (!is_printable_word(what.args[2])) {
    return client.refuse(what.command,
                         "ERR Client names cannot contain spaces, newlines or special characters.");
  }
  client.set_name(what.args[2]);
  answer_ok(client, what);
}

void get_name(session& client, const request& what) {
  client.answer(what.command, outcome::ok, [&client](resp::encoder& out) {
    const session::names* names = client.current_names();
    if (names == nullptr || names->client.empty()) return out.null();
    out.bulk(names->client);
  });
}

void set_info(session& client, const request& what) {
  const std::string_view option = what.args[2];
  const bool library = is_word(option, "lib-name");
  if (!library && !is_word(option, "lib-ver")) {
    return client.refuse(what.command, "ERR Unrecognized option '" + std::string(option) + "'");
  }
  if (!is_printable_word(what.args[3])) {
    return client.refuse(what.command, "ERR " + std::string(library ? "lib-name" : "lib-ver") +
                                           " cannot contain spaces, newlines or special characters.");
  }
  session::names& names = client.mutable_names();
  client.rename(library ? names.library : names.library_version, what.args[3]);
  answer_ok(client, what);
}

void set_switch(session& client, const request& what) {
  if (!is_word(what.args[2], "on") && !is_word(what.args[2], "off")) {
    return client.refuse(what.command, "ERR syntax error");
  }
  answer_ok(client, what);
}

// Redis's eviction of clients spares those that ask for it.
void set_evictable(worker_context&, session& client, const request& what) {
  if (is_word(what.args[2], "on")) client.set_evictable(false);
  if (is_word(what.args[2], "off")) client.set_evictable(true);
  set_switch(client, what);
}

void set_reply_mode(session& client, const request& what) {
  using mode = session::reply_mode;
  if (is_word(what.args[2], "on")) {
    client.set_reply_mode(mode::on);
    answer_ok(client, what);
  } else if (is_word(what.args[2], "off")) {
    client.set_reply_mode(mode::off);
  } else if (is_word(what.args[2], "skip")) {
    if (client.current_reply_mode() != mode::off) client.set_reply_mode(mode::skip_next);
  } else {
    client.refuse(what.command, "ERR syntax error");
  }
}

/// Answers of all workers, put together by `write` when they are there, if the client still is.
template <typename Write>
void answer_from_all(worker_context& context, session& client, const request& what,
                     worker_context::question question, Write write) {
  client.defer(what.command);
  context.ask_all(std::move(question), [&context, id = client.id(), write](std::vector<std::string> answers) {
    session* const waiting = context.clients.find(id);
    if (waiting == nullptr) return;
    waiting->complete(outcome::ok, [&](resp::encoder& out) { write(out, answers); });
  });
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

void list(worker_context& context, session& client, const request& what) {
  std::vector<std::uint64_t> ids;
  std::string type;
  if (what.args.size() == 4 && is_word(what.args[2], "type")) {
    if (!is_client_type(what.args[3])) {
      return client.refuse(what.command, "ERR Unknown client type '" + std::string(what.args[3]) + "'");
    }
    type = what.args[3];
  } else if (what.args.size() > 3 && is_word(what.args[2], "id")) {
    const auto parsed = parse_ids(what.args.subspan(3));
    if (!parsed) return client.refuse(what.command, "ERR Invalid client ID");
    ids = *parsed;
    std::sort(ids.begin(), ids.end());
  } else if (what.args.size() != 2) {
    return client.refuse(what.command, "ERR syntax error");
  }
  // Redis takes a transaction for one EXEC.
  const std::string running = context.transactions.playing() ? "" : "client|list";
  const auto question = [ids, type, running, asking = client.id(),
                         bytes = what.raw.size()](worker_context& worker) {
    std::string text;
    worker.clients.for_each([&](const session& s) {
      if (!type.empty() && !has_type(s, type)) return;
      if (!ids.empty() && !std::binary_search(ids.begin(), ids.end(), s.id())) return;
      text += (s.id() == asking ? s.describe(running, bytes) : s.describe()) + "\n";
    });
    return text;
  };
  answer_from_all(context, client, what, question,
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

/// Reads the filters of the newer form; the fault found, or nothing.
std::string parse_filter(const access_control& access, resp::arguments args, kill_filter& filter) {
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
      if (!access.restricts() ? value != default_user : access.find(value) == nullptr) {
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

void kill(worker_context& context, session& client, const request& what) {
  kill_filter filter;
  const bool old_form = what.args.size() == 3;
  if (old_form) {
    filter.address = base::as_c_string(what.args[2]);
    filter.skip_me = false;
  } else if (const std::string fault = parse_filter(context.access(), what.args, filter); !fault.empty()) {
    return client.refuse(what.command, fault);
  }
  const auto question = [filter, asking = client.id()](worker_context& worker) {
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
  answer_from_all(context, client, what, question,
                  [old_form](resp::encoder& out, const std::vector<std::string>& a) {
                    std::int64_t killed = 0;
                    for (const std::string& count : a) killed += std::stoll(count);
                    if (!old_form) return out.integer(killed);
                    if (killed > 0) return out.status("OK");
                    out.error("ERR No such client");
                  });
}

void unblock(worker_context& context, session& client, const request& what) {
  bool with_error = false;
  if (what.args.size() == 4) {
    with_error = is_word(what.args[3], "error");
    if (!with_error && !is_word(what.args[3], "timeout")) {
      return client.refuse(what.command, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  } else if (what.args.size() > 4) {
    return client.refuse(what.command, "ERR unknown subcommand or wrong number of arguments for '" +
                                           std::string(what.args[1].substr(0, 128)) + "'. Try CLIENT HELP.");
  }
  const auto id = base::parse_int64(what.args[2]);
  if (!id) return client.refuse(what.command, "ERR value is not an integer or out of range");
  const auto question = [wanted = static_cast<std::uint64_t>(*id), with_error](worker_context& worker) {
    session* const found = worker.clients.find(wanted);
    return std::string(found != nullptr && found->unblock(with_error) ? "1" : "0");
  };
  answer_from_all(context, client, what, question, [](resp::encoder& out, const std::vector<std::string>& a) {
    out.integer(std::count(a.begin(), a.end(), "1"));
  });
}

// Keys of streams lie on several buses, and other keys may change through other workers' connections.
void tracking(worker_context&, session& client, const request& what) {
  if (is_word(what.args[2], "off")) return answer_ok(client, what);
  if (!is_word(what.args[2], "on")) return client.refuse(what.command, "ERR syntax error");
  client.refuse(
      what.command,
      "NOTSUPPORTED client-side caching does not work through dualbusd: read without CLIENT TRACKING");
}

void caching(worker_context&, session& client, const request& what) {
  client.refuse(
      what.command,
      "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT "
      "mode enabled");
}

void tracking_info(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) {
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

void get_redirection(worker_context&, session& client, const request& what) {
  client.answer(what.command, outcome::ok, [](resp::encoder& out) { out.integer(-1); });
}

void help(worker_context&, session& client, const request& what) {
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
  answer_help(client, what, "CLIENT", lines);
}

constexpr subcommand subcommands[] = {
    {"caching", 3, caching},
    {"getredir", 2, get_redirection},
    {"help", 2, help},
    {"pause", -3, run_client_pause},
    {"tracking", -3, tracking},
    {"trackinginfo", 2, tracking_info},
    {"unpause", 2, run_client_unpause},
    {"getname", 2, [](worker_context&, session& c, const request& w) { get_name(c, w); }},
    {"id", 2,
     [](worker_context&, session& c, const request& w) {
       c.answer(w.command, outcome::ok,
                [&c](resp::encoder& out) { out.integer(static_cast<std::int64_t>(c.id())); });
     }},
    {"info", 2,
     [](worker_context& context, session& c, const request& w) {
       const std::string_view running = context.transactions.playing() ? "" : "client|info";
       c.answer(w.command, outcome::ok,
                [&](resp::encoder& out) { out.verbatim(c.describe(running, w.raw.size()) + "\n"); });
     }},
    {"kill", -3, kill},
    {"list", -2, list},
    {"no-evict", 3, set_evictable},
    {"no-touch", 3, [](worker_context&, session& c, const request& w) { set_switch(c, w); }},
    {"reply", 3, [](worker_context&, session& c, const request& w) { set_reply_mode(c, w); }},
    {"setinfo", 4, [](worker_context&, session& c, const request& w) { set_info(c, w); }},
    {"setname", 3, [](worker_context&, session& c, const request& w) { set_name(c, w); }},
    {"unblock", -3, unblock},
};

}  // namespace

void run_client(worker_context& context, session& client, const request& what) {
  run_subcommand(context, client, what, "client", subcommands);
}

}  // namespace dualbus::session
