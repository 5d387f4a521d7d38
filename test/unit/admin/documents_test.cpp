#include "admin/metric_table.hpp"
#include "processes.hpp"

#include <dualbus/admin/metrics_reference.hpp>

#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The page that explains the metrics, and the files for Prometheus that are shipped.
namespace dualbus::admin {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string source(const std::string& path) {
  return test::read_text(std::string(DUALBUS_SOURCE_DIR) + "/" + path);
}

std::string without_backquotes(std::string text) {
  std::erase(text, '`');
  return text;
}

// The cells of a line "| a | b |"; empty for other lines.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result;
  if (!line.starts_with("| ") || !line.ends_with(" |")) return result;
  std::size_t begin = 2;
  for (std::size_t bar; (bar = line.find(" |", begin)) != std::string::npos; begin = bar + 3) {
    result.push_back(line.substr(begin, bar - begin));
    if (bar + 2 >= line.size()) break;
  }
  return result;
}

// "name|kind|labels" of each row of the page's tables of metrics.
std::set<std::string> documented_metrics() {
  std::set<std::string> rows;
  std::istringstream lines(source("docs/metrics.md"));
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> row = cells(line);
    if (row.size() != 4 || row[0] == "Metric") continue;
    EXPECT_FALSE(row[3].empty()) << line;
    rows.insert(without_backquotes(row[0] + "|" + row[1] + "|" + row[2]));
  }
  return rows;
}

TEST(MetricsPageTest, TheDocumentedReferenceIsFresh) {
  EXPECT_TRUE(source("docs/metrics.md") == metrics_reference_markdown())
      << "docs/metrics.md is not what dualbusd --metrics-reference prints";
}

TEST(MetricsPageTest, ExplainsEveryMetricWithKindAndLabelsAndNoOther) {
  std::set<std::string> expected;
  for (const metrics::metric_description& description : metric_table()) {
    expected.insert(std::string(description.name) + "|" + std::string(kind_name(description.kind)) + "|" +
                    std::string(description.labels));
  }
  EXPECT_EQ(documented_metrics(), expected);
}

// The words in a text that begin as our metrics do, without a histogram's suffixes.
std::set<std::string> metrics_named_in(const std::string& text) {
  const std::set<std::string> labels = {"redis_version", "redis_mode", "redis_exporter", "redis_error"};
  std::set<std::string> names;
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz_";
  for (std::size_t begin = text.find_first_of(letters); begin != std::string::npos;) {
    const std::size_t end = text.find_first_not_of(letters, begin);
    std::string word = text.substr(begin, end - begin);
    for (const char* suffix : {"_bucket", "_count", "_sum"}) {
      if (word.ends_with(suffix)) word.resize(word.size() - std::string_view(suffix).size());
    }
    const bool ours =
        word.starts_with("dualbus_") || word.starts_with("redis_") || word.starts_with("process_");
    if (ours && !labels.contains(word)) names.insert(word);
    begin = text.find_first_of(letters, end);
  }
  return names;
}

TEST(MetricsPageTest, ExamplesAndAlertsUseMetricsThatExist) {
  std::set<std::string> known;
  for (const metrics::metric_description& description : metric_table()) known.emplace(description.name);
  for (const char* path : {"docs/metrics.md", "deploy/alerts.yml"}) {
    const std::set<std::string> names = metrics_named_in(source(path));
    EXPECT_GT(names.size(), 5u) << path;
    for (const std::string& name : names) EXPECT_TRUE(known.contains(name)) << path << " names " << name;
  }
}

TEST(DeployTest, PromtoolAcceptsTheScrapeConfigurationAndItsAlerts) {
  const test::command_result result =
      test::run("promtool check config " DUALBUS_SOURCE_DIR "/deploy/prometheus.yml");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("rules found"));
  EXPECT_THAT(result.output, Not(HasSubstr("FAILED")));
}

}  // namespace
}  // namespace dualbus::admin
