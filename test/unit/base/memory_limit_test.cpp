#include <dualbus/base/memory_limit.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace dualbus::base {
namespace {

class MemoryLimitTest : public testing::Test {
 protected:
  MemoryLimitTest() {
    char name[] = "/tmp/dualbus-memory-XXXXXX";
    root = ::mkdtemp(name);
  }
  ~MemoryLimitTest() override { std::filesystem::remove_all(root); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text << '\n';
  }

  std::string root;
};

TEST_F(MemoryLimitTest, WithoutGroupsItIsTheMachines) {
  EXPECT_GT(process_memory_limit(root), 64U << 20);
  EXPECT_GE(process_memory_limit(root), process_memory_limit());
}

TEST_F(MemoryLimitTest, TheLeastLimitOfAllGroupsAboveCounts) {
  write("/proc/self/cgroup", "0::/system.slice/dualbusd.service");
  write("/sys/fs/cgroup/system.slice/dualbusd.service/memory.max", "max");
  write("/sys/fs/cgroup/system.slice/memory.max", "50000000");
  EXPECT_EQ(process_memory_limit(root), 50'000'000U);
  write("/sys/fs/cgroup/system.slice/dualbusd.service/memory.high", "40000000");
  EXPECT_EQ(process_memory_limit(root), 40'000'000U);
}

TEST_F(MemoryLimitTest, AContainerSeesItsOwnGroupAsTheRoot) {
  write("/proc/self/cgroup", "0::/");
  write("/sys/fs/cgroup/memory.max", "30000000");
  EXPECT_EQ(process_memory_limit(root), 30'000'000U);
  write("/proc/self/cgroup", "0::/../elsewhere");
  EXPECT_EQ(process_memory_limit(root), 30'000'000U);
}

TEST_F(MemoryLimitTest, VersionOneIsKnown) {
  write("/proc/self/cgroup", "3:cpu,cpuacct:/docker/1\n2:memory:/docker/1\n");
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "20000000");
  EXPECT_EQ(process_memory_limit(root), 20'000'000U);
  // A very large number means there that nothing is limited.
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_GT(process_memory_limit(root), 20'000'000U);
}

}  // namespace
}  // namespace dualbus::base
