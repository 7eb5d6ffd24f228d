#include "trainer/run/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "runtime/clock.h"
#include "runtime/plain_text.h"

namespace cadre::run {
namespace {

std::string format(const char* pattern, auto... values) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, pattern, values...);
  return buffer;
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// The losses so far in `width` columns, the highest bar the highest loss.
std::string sparkline(const std::vector<double>& losses, std::size_t width) {
  static constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (losses.empty()) return {};
  const auto [low, high] = std::minmax_element(losses.begin(), losses.end());
  const std::size_t columns = std::min(width, losses.size());
  std::string line;
  for (std::size_t c = 0; c < columns; ++c) {
    const std::size_t begin = c * losses.size() / columns, end = std::max(begin + 1, (c + 1) * losses.size() / columns);
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += losses[i];
    const double mean = sum / static_cast<double>(end - begin);
    const double share = *high > *low ? (mean - *low) / (*high - *low) : 0;
    line += kBars[static_cast<std::size_t>(std::clamp(share * 7.999, 0.0, 7.0))];
  }
  return line;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<long>(std::max(0.0, std::round(seconds)));
  if (whole >= 3600) return format("%ldh %02ldm", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return format("%ldm %02lds", whole / 60, whole % 60);
  return format("%lds", whole);
}

Progress::Style Progress::style_for_stderr(bool quiet) {
  if (quiet) return Style::kQuiet;
  return isatty(STDERR_FILENO) == 1 ? Style::kBar : Style::kLines;
}

Progress::Progress(Style style) : style_(style) {
  struct stat found;
  if (::fstat(STDERR_FILENO, &found) != 0 || !(S_ISCHR(found.st_mode) || S_ISFIFO(found.st_mode))) return;
  out_ = runtime::Descriptor(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

Progress::~Progress() {
  if (bar_shown_) show("\n");
  if (log_ != nullptr) std::fclose(log_);
}

void Progress::log_to(const std::filesystem::path& file) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  log_ = std::fopen(file.c_str(), "ae");
  if (log_ == nullptr) warn(file.string() + " cannot be written: " + std::strerror(errno));
}

void Progress::log(const std::string& line) {
  if (log_ == nullptr) return;
  std::fprintf(log_, "%s %s\n", runtime::iso_time(runtime::now_utc()).c_str(), line.c_str());
  std::fflush(log_);
}

void Progress::show(const std::string& text) {
  constexpr int kPatience = 100;  // milliseconds, once
  const int to = out_ ? out_.get() : STDERR_FILENO;
  for (std::size_t done = 0; done < text.size();) {
    pollfd out{.fd = to, .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&out, 1, is_held_ ? 0 : kPatience);
    if (ready < 0 && errno == EINTR) continue;
    is_held_ = ready != 1;
    if (is_held_) return;
    const ssize_t written = ::write(to, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    is_held_ = written < 0 && errno == EAGAIN;
    if (written <= 0) return;
    done += static_cast<std::size_t>(written);
  }
}

void Progress::clear_bar() {
  if (!bar_shown_) return;
  show("\r\033[K");
  bar_shown_ = false;
}

void Progress::note(const std::string& line) {
  log(line);
  if (style_ == Style::kQuiet) return;
  clear_bar();
  show(line + "\n");
}

void Progress::warn(const std::string& line) {
  log("warning: " + line);
  clear_bar();
  show("warning: " + runtime::plain_line(line) + "\n");
}

void Progress::draw_bar(const StepReport& report) {
  const double share =
      static_cast<double>(report.step) / static_cast<double>(std::max<std::int64_t>(1, report.max_steps));
  const std::string left = format("%3.0f%% %lld/%lld ", share * 100, static_cast<long long>(report.step),
                                  static_cast<long long>(report.max_steps));
  const std::string right = format("  loss %.4f  %.0f tok/s  %s left ", report.loss, report.tokens_per_second,
                                   duration_text(report.seconds_left).c_str());
  const int room = terminal_columns() - static_cast<int>(left.size() + right.size()) - 2;
  const int width = std::clamp(room / 2, 4, 40);
  std::string bar;
  for (int i = 0; i < width; ++i) bar += i < static_cast<int>(share * width + 0.5) ? "━" : "─";
  const std::string curve = room > width + 4 ? sparkline(losses_, static_cast<std::size_t>(room - width)) : "";
  show("\r" + left + bar + right + curve + "\033[K");
  bar_shown_ = true;
}

void Progress::step(const StepReport& report, bool logged) {
  losses_.push_back(report.loss);
  if (style_ == Style::kBar) draw_bar(report);
  if (!logged) return;
  const std::string line = format("step %lld/%lld  loss %.4f  lr %.3g  grad_norm %.3f  %.0f tokens/s  %s left",
                                  static_cast<long long>(report.step), static_cast<long long>(report.max_steps),
                                  report.mean_loss, report.learning_rate, report.grad_norm, report.tokens_per_second,
                                  duration_text(report.seconds_left).c_str());
  log(line);
  if (style_ == Style::kLines) show(line + "\n");
}

void Progress::evaluation(std::int64_t step, double loss, bool best) {
  note(format("step %lld  validation loss %.4f%s", static_cast<long long>(step), loss, best ? "  (best so far)" : ""));
}

}  // namespace cadre::run
