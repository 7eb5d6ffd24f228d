#include "launch/run_logs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/clock.h"
#include "runtime/error.h"

namespace cadre::launch {
namespace {

void append(const Descriptor& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

RunLogs::RunLogs(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  launcher_ = open_file("launcher.log");
}

std::string RunLogs::name_of_rank(std::uint32_t rank) {
  char name[32];
  std::snprintf(name, sizeof name, "rank-%05u.log", static_cast<unsigned>(rank));
  return name;
}

void RunLogs::rank(std::uint32_t rank, std::string_view text) {
  auto found = ranks_.find(rank);
  if (found == ranks_.end()) found = ranks_.emplace(rank, open_file(name_of_rank(rank))).first;
  append(found->second, text);
}

void RunLogs::launcher(const std::string& line) {
  append(launcher_, runtime::iso_time(runtime::now_utc()) + " " + line + "\n");
}

Descriptor RunLogs::open_file(const std::string& name) const {
  const std::string path = folder_ / name;
  Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) throw runtime::RunError(path + " cannot be written: " + std::strerror(errno));
  return file;
}

}  // namespace cadre::launch
