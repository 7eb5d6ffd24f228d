#include "trainer/run/trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "runtime/error.h"

namespace cadre::run {
namespace {

template <typename Duration>
std::int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

Trace::Trace(const std::filesystem::path& folder, runtime::Rank rank, std::uint32_t incarnation)
    : rank_(rank), start_microseconds_(microseconds(std::chrono::system_clock::now().time_since_epoch())) {
  std::error_code ignored;  // open() says what is wrong
  std::filesystem::create_directories(folder, ignored);
  std::string name = runtime::say("rank-", rank);
  if (incarnation > 1) name += runtime::say(".", incarnation);
  path_ = folder / (name + ".json");
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) throw runtime::UserError("--trace: " + path_.string() + ": " + std::strerror(errno));
  write("[\n" + begin_of_event("process_name") +
        runtime::say(",\"ph\":\"M\",\"args\":{\"name\":\"rank ", rank, "\"}}"));
}

Trace::~Trace() {
  write("\n]\n");
  if (file_ >= 0) ::close(file_);
}

std::string Trace::begin_of_event(const char* name) const {
  return runtime::say("{\"name\":\"", name, "\",\"pid\":", rank_, ",\"tid\":0");
}

void Trace::write(const std::string& text) noexcept {
  if (file_ < 0) return;
  if (::write(file_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
  ::close(file_);
  file_ = -1;
}

Span::Span(Trace* trace, const char* name, std::uint64_t step, std::optional<std::uint32_t> micro_batch)
    : trace_(trace), name_(name), step_(step), micro_batch_(micro_batch) {
  if (trace_ != nullptr) begin_ = Trace::Clock::now();
}

Span::~Span() {
  if (trace_ == nullptr) return;
  const std::int64_t begin = trace_->start_microseconds_ + microseconds(begin_ - trace_->start_);
  const std::int64_t duration = microseconds(Trace::Clock::now() - begin_);
  std::string event =
      ",\n" + trace_->begin_of_event(name_) +
      runtime::say(",\"ph\":\"X\",\"ts\":", begin, ",\"dur\":", duration, ",\"args\":{\"step\":", step_);
  if (micro_batch_) event += runtime::say(",\"micro_batch\":", *micro_batch_);
  trace_->write(event + "}}");
}

}  // namespace cadre::run
