// Where a rank's time goes, as Chrome's trace events: output_dir/trace/rank-N.json, for Perfetto or chrome://tracing.
// Each span reaches the kernel when it ends, and readers of the format do not need the array's end: the file of a rank
// that was killed is readable.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "runtime/members.h"

namespace cadre::run {

// Used by one thread.
class Trace {
 public:
  // Creates the file; a rank that came back gets one of its own, rank-N.INCARNATION.json. UserError when it cannot.
  Trace(const std::filesystem::path& folder, runtime::Rank rank, std::uint32_t incarnation);
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace();

  const std::filesystem::path& path() const { return path_; }

 private:
  friend class Span;
  using Clock = std::chrono::steady_clock;
  // A disk that refuses ends the trace and nothing else.
  void write(const std::string& text) noexcept;
  std::string begin_of_event(const char* name) const;

  std::filesystem::path path_;
  int file_ = -1;
  runtime::Rank rank_ = 0;
  // Traces of several hosts are laid side by side by the time of day.
  Clock::time_point start_ = Clock::now();
  std::int64_t start_microseconds_ = 0;  // since 1970
};

// From its construction to the end of its scope. Without a trace it does nothing.
class Span {
 public:
  // `name`, a literal, is what is done for update `step`, counted from 1.
  Span(Trace* trace, const char* name, std::uint64_t step, std::optional<std::uint32_t> micro_batch = std::nullopt);
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span();

 private:
  Trace* trace_;
  const char* name_;
  std::uint64_t step_;
  std::optional<std::uint32_t> micro_batch_;
  Trace::Clock::time_point begin_ = {};
};

}  // namespace cadre::run
