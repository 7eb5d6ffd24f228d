#include "runtime/failpoints.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::runtime {
namespace {

enum class Action { kKill, kStop, kPause, kSlow, kError, kFlip };

constexpr const char* kForm = "PHASE@STEP/WHO=ACTION, such as prepared@7/1=kill";

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

[[noreturn]] void malformed(std::string_view point, const std::string& expected) {
  throw UserError(say("CADRE_FAILPOINTS: expected ", expected, ", found ", in_quotes(point)));
}

// What is before `mark`, which goes with it.
std::string_view cut(std::string_view& rest, char mark, std::string_view point) {
  const std::size_t at = rest.find(mark);
  if (at == std::string_view::npos) malformed(point, kForm);
  const std::string_view before = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return before;
}

}  // namespace

struct Failpoints::Point {
  Failpoint phase = Failpoint::kStart;
  std::optional<std::uint64_t> step = {};
  std::string who = {};
  Action action = Action::kKill;
  std::chrono::milliseconds pause = {};
  std::string name = {};  // PHASE@STEP
  std::atomic<bool> has_fired = false;

  void read(std::string_view point);
  void read_action(std::string_view text, std::string_view point);
};

void Failpoints::Point::read(std::string_view point) {
  std::string_view rest = point;
  const std::string_view phase_name = cut(rest, '@', point), step_text = cut(rest, '/', point);
  who = cut(rest, '=', point);
  const auto* const found = std::find(kPhaseNames.begin(), kPhaseNames.end(), phase_name);
  if (found == kPhaseNames.end()) {
    std::string names;
    for (const std::string_view one : kPhaseNames) names += (names.empty() ? "" : " ") + std::string(one);
    malformed(point, "one of the phases " + names);
  }
  phase = static_cast<Failpoint>(found - kPhaseNames.begin());
  step = number_of<std::uint64_t>(step_text);
  if (!step && step_text != "*") malformed(point, "a step's number or *");
  if (who != "coordinator" && who != "launcher" && !number_of<std::uint32_t>(who)) {
    malformed(point, "a rank's number, coordinator or launcher");
  }
  name = say(phase_name, '@', step_text);
  read_action(rest, point);
}

void Failpoints::Point::read_action(std::string_view text, std::string_view point) {
  constexpr std::string_view kPause = "pause:", kSlow = "slow:";
  if (text == "kill") {
    action = Action::kKill;
  } else if (text == "stop") {
    action = Action::kStop;
  } else if (text == "error") {
    action = Action::kError;
  } else if (text == "flip") {
    action = Action::kFlip;
  } else if (const auto ms =
                 text.starts_with(kPause) ? number_of<std::uint32_t>(text.substr(kPause.size())) : std::nullopt) {
    action = Action::kPause;
    pause = std::chrono::milliseconds(*ms);
  } else if (const auto each =
                 text.starts_with(kSlow) ? number_of<std::uint32_t>(text.substr(kSlow.size())) : std::nullopt) {
    action = Action::kSlow;
    pause = std::chrono::milliseconds(*each);
  } else {
    malformed(point, "kill, stop, pause:MILLISECONDS, slow:MILLISECONDS, error or flip");
  }
}

Failpoints::Failpoints() = default;
Failpoints::~Failpoints() = default;

std::unique_ptr<Failpoints> Failpoints::parse(const std::string& text, const std::string& who) {
  constexpr std::string_view kMarks = "marks=";
  auto made = std::make_unique<Failpoints>();
  made->who_ = who;
  made->points_ = std::make_unique<Point[]>(static_cast<std::size_t>(std::count(text.begin(), text.end(), ';')) + 1);
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    const std::string_view point = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (point.starts_with(kMarks)) {
      made->marks_ = point.substr(kMarks.size());
      continue;
    }
    Point& next = made->points_[made->count_];
    next.read(point);
    if (next.who == who) ++made->count_;
  }
  return made;
}

bool Failpoints::empty() const {
  return count_ == 0;
}

bool Failpoints::reached(Failpoint phase, std::uint64_t step) {
  for (std::size_t i = 0; i < count_; ++i) {
    Point& point = points_[i];
    if (point.phase != phase || (point.step && *point.step != step)) continue;
    if (point.action == Action::kSlow) {
      std::this_thread::sleep_for(point.pause);
      continue;
    }
    if (point.has_fired.exchange(true)) continue;
    if (!marks_.empty()) {
      const std::string mark = say(marks_, '/', point.name, '.', who_);
      const int file = ::open(mark.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
      if (file < 0) continue;  // another process was first
      ::dprintf(file, "%d\n", static_cast<int>(::getpid()));
      ::close(file);
    }
    switch (point.action) {
      case Action::kKill:
        ::raise(SIGKILL);
        break;
      case Action::kStop:
        ::raise(SIGSTOP);
        break;
      case Action::kSlow:
      case Action::kPause:
        std::this_thread::sleep_for(point.pause);
        break;
      case Action::kError:
        throw RunError(say("the failpoint ", point.name, " of ", who_));
      case Action::kFlip:
        return true;
    }
  }
  return false;
}

void arm_failpoints(const std::string& who) {
  const char* text = std::getenv("CADRE_FAILPOINTS");
  if (text == nullptr || detail::armed_failpoints.load() != nullptr) return;
  static std::unique_ptr<Failpoints> armed;
  armed = Failpoints::parse(text, who);
  if (!armed->empty()) detail::armed_failpoints = armed.get();
}

}  // namespace cadre::runtime
