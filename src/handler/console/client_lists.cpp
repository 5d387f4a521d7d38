#include <dualbus/base/printable.hpp>
#include <dualbus/client/session.hpp>
#include <dualbus/command/command_table.hpp>
#include <dualbus/handler/client_lists.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

namespace dualbus::handler {
namespace {

using console::cell;

// A client costs its worker about ten microseconds.
constexpr std::size_t clients_per_turn = 50;
constexpr std::size_t longest_request = 200;

std::vector<std::string> names_of(client_list what) {
  switch (what) {
    case client_list::clients:
      return {"id",    "address", "name", "engine",       "user",         "db",
              "age_s", "cmd",     "owed", "unread_bytes", "memory_bytes", "library"};
    case client_list::parked:
      return {"id", "address", "engine", "waits_s", "request"};
    case client_list::addresses:
      return {"engine", "address"};
  }
  return {};
}

std::string printable(std::string_view text) {
  std::string result;
  base::append_printable(result, text, "");
  return result;
}

std::string request_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (text.size() > longest_request) return text + "…";
    text += (text.empty() ? "" : " ") + printable(word.substr(0, longest_request));
  }
  return text;
}

void add_client(std::string& out, const session& s) {
  const session::names* const names = s.current_names();
  const std::uint16_t last = s.last_command();
  const std::string library = names == nullptr || names->library.empty()
                                  ? std::string()
                                  : names->library + " " + names->library_version;
  console::pack_row(
      out, {s.id(), s.peer_address(), printable(names == nullptr ? std::string_view() : names->client),
            printable(s.attribution().known().name), printable(s.user_name()),
            static_cast<std::uint64_t>(s.database()), static_cast<std::uint64_t>(s.age().count()),
            std::string(last == client::no_command ? "" : command::command_table()[last].name),
            std::uint64_t{s.replies().owed()}, std::uint64_t{s.replies().waiting_bytes()},
            std::uint64_t{s.memory()}, printable(library)});
}

void add_parked(std::string& out, const session& s, base::time_point now) {
  if (!s.blocked() || !s.replies().owes()) return;
  const std::vector<std::string> request = s.newest()->lasting_request();
  if (request.empty()) return;
  cell waits;
  if (const auto since = s.waiting_since()) waits = std::chrono::duration<double>(now - *since).count();
  console::pack_row(
      out, {s.id(), s.peer_address(), printable(s.attribution().known().name), waits, request_text(request)});
}

void add_address(std::string& out, const session& s) {
  const std::string engine = s.attribution().known().name;
  if (!engine.empty()) console::pack_row(out, {engine, s.peer_address()});
}

std::string rows_of(client_list what, const colleague& worker, const std::vector<std::uint64_t>& ids) {
  std::string rows;
  for (const std::uint64_t id : ids) {
    const session* const found = worker.clients.find(id);
    if (found == nullptr || found->closed()) continue;
    switch (what) {
      case client_list::clients:
        add_client(rows, *found);
        break;
      case client_list::parked:
        add_parked(rows, *found, worker.turn.now);
        break;
      case client_list::addresses:
        add_address(rows, *found);
        break;
    }
  }
  return rows;
}

std::string ids_of(const colleague& worker) {
  std::string ids;
  worker.clients.for_each([&ids](const session& s) {
    const std::uint64_t id = s.id();
    ids.append(reinterpret_cast<const char*>(&id), sizeof(id));
  });
  return ids;
}

class listing : public std::enable_shared_from_this<listing> {
 public:
  using asking = std::function<void(colleagues::question, colleagues::answers)>;
  listing(client_list what, asking ask, std::function<void(console::table)> done)
      : what_(what), ask_(std::move(ask)), done_(std::move(done)), rows_{names_of(what), {}} {}

  void start() {
    ask_(ids_of, [self = shared_from_this()](const std::vector<std::string>& answers) {
      self->take_ids(answers);
      self->go_on();
    });
  }

 private:
  void take_ids(const std::vector<std::string>& answers) {
    for (const std::string& answer : answers) {
      if (answer.empty()) continue;  // no client: memcpy takes no null pointer, whatever the size
      const std::size_t before = ids_.size();
      ids_.resize(before + answer.size() / sizeof(std::uint64_t));
      std::memcpy(ids_.data() + before, answer.data(), answer.size());
    }
    std::sort(ids_.begin(), ids_.end());
  }

  void go_on() {
    if (next_ == ids_.size()) {
      // Each worker has put its own clients in order. IDs, or names, come first.
      std::stable_sort(rows_.rows.begin(), rows_.rows.end(),
                       [](const auto& a, const auto& b) { return a.front() < b.front(); });
      return done_(std::move(rows_));
    }
    const std::size_t end = std::min(next_ + clients_per_turn, ids_.size());
    std::vector<std::uint64_t> some(ids_.begin() + static_cast<std::ptrdiff_t>(next_),
                                    ids_.begin() + static_cast<std::ptrdiff_t>(end));
    next_ = end;
    ask_([what = what_, ids = std::move(some)](colleague& worker) { return rows_of(what, worker, ids); },
         [self = shared_from_this()](const std::vector<std::string>& answers) {
           for (const std::string& answer : answers) console::read_rows(self->rows_, answer);
           self->go_on();
         });
  }

  const client_list what_;
  const asking ask_;
  const std::function<void(console::table)> done_;
  std::vector<std::uint64_t> ids_;
  std::size_t next_ = 0;
  console::table rows_;
};

}  // namespace

void list_clients(client_list what, std::function<void(colleagues::question, colleagues::answers)> ask,
                  std::function<void(console::table)> done) {
  std::make_shared<listing>(what, std::move(ask), std::move(done))->start();
}

std::map<std::string, std::string> address_by_engine(const console::table& addresses) {
  std::map<std::string, std::set<std::string>> found;
  for (const auto& row : addresses.rows) {
    // Two connections from one host have the same address but for the port.
    const std::string address = console::text_of(row[1]);
    found[console::text_of(row[0])].insert(address.substr(0, address.rfind(':')));
  }
  std::map<std::string, std::string> result;
  for (const auto& [engine, all] : found) {
    std::string& text = result[engine] = *all.begin();
    if (all.size() > 1) text += " and " + std::to_string(all.size() - 1) + " more";
  }
  return result;
}

}  // namespace dualbus::handler
