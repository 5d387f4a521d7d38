#include "json_writer.hpp"

#include <cmath>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace dualbus::admin {

json_writer& json_writer::open(char bracket) {
  begin_value();
  out_ += bracket;
  open_ += bracket == '{' ? '}' : ']';
  first_ = true;
  return *this;
}

json_writer& json_writer::end() {
  const char bracket = open_.back();
  open_.pop_back();
  if (!first_) indent();
  out_ += bracket;
  first_ = false;
  return *this;
}

json_writer& json_writer::name(std::string_view value) {
  text(value);
  out_ += ": ";
  named_ = true;
  return *this;
}

json_writer& json_writer::text(std::string_view value) {
  begin_value();
  out_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out_.append(1, '\\').append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out_ += c;
    }
  }
  out_ += '"';
  return *this;
}

json_writer& json_writer::number(double value) {
  return std::isfinite(value) ? raw(fmt::format("{:.3f}", value)) : null();
}

json_writer& json_writer::seconds(double value) {
  return raw(fmt::format("{:.3f}", value));
}

json_writer& json_writer::raw(std::string_view value) {
  begin_value();
  out_ += value;
  return *this;
}

void json_writer::begin_value() {
  if (std::exchange(named_, false)) return;
  if (!first_) out_ += ',';
  if (!open_.empty()) indent();
  first_ = false;
}

void json_writer::indent() {
  if (compact_) return;
  out_ += '\n';
  out_.append(open_.size(), ' ');
}

std::string json_writer::take() {
  out_ += '\n';
  return std::move(out_);
}

}  // namespace dualbus::admin
