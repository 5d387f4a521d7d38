#include "assembler.hpp"
#include "files.hpp"
#include "report.hpp"
#include "table_reader.hpp"
#include "values.hpp"
#include "yaml_tree.hpp"

#include <dualbus/config/loader.hpp>

#include <cstdint>
#include <utility>

namespace dualbus::config {
namespace {

// Text -> tree -> draft -> configuration. Each step reports all it finds; a later one says nothing about what
// an earlier one has refused.
std::shared_ptr<const configuration> read(std::string_view text, const std::string& name, report& findings) {
  const yaml_tree tree = read_yaml(text, findings);
  if (!tree.complete) return nullptr;
  draft d;
  table_reader reader(d, findings);
  reader.read(tree.root);
  const std::size_t slash = name.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : name.substr(0, slash + 1);
  assembler(d, reader, findings, directory).run();
  if (findings.failed()) return nullptr;
  return std::make_shared<const configuration>(std::move(d.config));
}

load_result result_of(const report& findings, std::shared_ptr<const configuration> value) {
  return {std::move(value), findings.mistakes(), findings.warnings()};
}

}  // namespace

load_result load(const std::string& path) {
  const file_content content = read_file(path, max_file_bytes);
  if (content.problem.empty()) return parse(content.text, path);
  report findings(path, max_mistakes);
  findings.mistake({}, "", content.problem);
  return result_of(findings, nullptr);
}

load_result parse(std::string_view text, const std::string& name) {
  report findings(name, max_mistakes);
  if (text.size() > max_file_bytes) {
    findings.mistake({}, "", "is larger than " + format_bytes(std::int64_t{max_file_bytes}));
    return result_of(findings, nullptr);
  }
  std::shared_ptr<const configuration> value = read(text, name, findings);
  return result_of(findings, std::move(value));
}

}  // namespace dualbus::config
