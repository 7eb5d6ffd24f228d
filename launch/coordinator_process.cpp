#include "launch/coordinator_process.h"

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <csignal>

#include "launch/exit_code.h"
#include "runtime/error.h"
#include "runtime/json_print.h"

namespace cadre::launch {
namespace {

constexpr std::size_t kLongestReport = 1 << 20;

}  // namespace

AfterEnd after_coordinator_ended(const CoordinatorLife& life) {
  if (life.ended.signal == 0) return {.exit_code = life.ended.code};
  if (life.has_result) {
    return {.exit_code = kFailed,
            .reason = "the coordinator said its result, then was ended by " + describe(life.ended)};
  }
  if (life.lived < kShortLife && life.short_lives + 1 >= kMaxShortLives) {
    return {.exit_code = kFailed,
            .reason = runtime::say("the coordinator was ended ", life.short_lives + 1,
                                   " times just after its start, the last time by ", describe(life.ended))};
  }
  return {.starts_again = true};
}

CoordinatorProcess::CoordinatorProcess(boost::asio::io_context& io, Options options,
                                       const std::vector<Listener>& listeners, RunLogs& logs, Callbacks callbacks)
    : io_(io),
      options_(std::move(options)),
      listeners_(listeners),
      logs_(logs),
      callbacks_(std::move(callbacks)),
      watch_(io),
      report_lines_(kLongestReport) {}

void CoordinatorProcess::start() {
  ++term_;
  Pipe control = make_pipe(), report = make_pipe();
  const Descriptor log = logs_.open_coordinator();
  ChildOptions options{.command = options_.command,
                       .environment = options_.environment,
                       .stdin_fd = control.read.get(),
                       .stdout_fd = log.get(),
                       .stderr_fd = log.get(),
                       .inherited = {report.write.get()},
                       .own_session = true};
  std::string sockets;
  for (const Listener& listener : listeners_) {
    options.inherited.push_back(listener.socket.get());
    sockets += (sockets.empty() ? "" : ",") + std::to_string(listener.socket.get());
  }
  options.command.insert(options.command.end(),
                         {"--listen_fds", sockets, "--report_fd", std::to_string(report.write.get())});
  process_.emplace(options);
  started_ = std::chrono::steady_clock::now();
  logs_.launcher(runtime::say("coordinator of term ", term_, " is process ", process_->pid()));
  control_ = std::make_unique<PipeWriter>(io_, std::move(control.write));
  control_->send(options_.boot_message(term_) + "\n" + repeated_);
  for (const boost::json::object& line : options_.first_lines()) this->control(line);
  report_lines_ = LineCutter(kLongestReport);
  report_ = std::make_unique<PipeReader>(
      io_, std::move(report.read),
      [this](std::string_view bytes) {
        if (heard_) heard_ = std::chrono::steady_clock::now();
        report_lines_.take(bytes, [this](const std::string& line) { take_report(line); });
      },
      [this] { boost::asio::post(io_, [this] { look(); }); });  // which may replace this reader
  heard_.reset();
  watch();
}

// One that is stopped holds its sockets, its journal and the ranks: it is ended, and the next term begins.
void CoordinatorProcess::watch() {
  const std::chrono::milliseconds pause = options_.silence / 8;
  watch_.expires_after(pause);
  watch_.async_wait([this, pause, began = std::chrono::steady_clock::now()](const boost::system::error_code& error) {
    if (error || is_final_) return;
    const auto now = std::chrono::steady_clock::now();
    // This process itself may have been stopped; what has come meanwhile is read first.
    if (heard_ && now - began > 2 * pause) heard_ = now;
    if (heard_ && now - *heard_ > options_.silence && is_live() && result_.empty()) {
      logs_.launcher(runtime::say("coordinator of term ", term_, " has said nothing for ",
                                  options_.silence.count() / 1000.0, " s and is killed"));
      process_->signal_group(SIGKILL);
      return;
    }
    watch();
  });
}

void CoordinatorProcess::take_report(const std::string& line) {
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(line, error);
  if (error || !value.is_object()) {
    logs_.launcher("the coordinator reported what is no JSON object; it was left out");
    return;
  }
  if (value.get_object().contains("alive")) {
    heard_ = std::chrono::steady_clock::now();
    return;
  }
  const boost::json::value* result = value.get_object().if_contains("result");
  if (result != nullptr && result->is_object()) {
    result_ = result->get_object();
  } else {
    callbacks_.report(value.get_object());
  }
}

void CoordinatorProcess::control(const boost::json::object& line, bool is_repeated) {
  const std::string text = runtime::json_line(line) + "\n";
  if (is_repeated) repeated_ += text;
  if (control_) control_->send(text);
}

void CoordinatorProcess::end_now() {
  starts_again_ = false;
  if (process_) process_->signal_group(SIGKILL);
}

void CoordinatorProcess::look() {
  if (is_final_ || !process_ || !process_->poll() || report_->is_open()) return;
  const Ended ended = *process_->ended();
  const auto lived = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started_);
  AfterEnd after = after_coordinator_ended(
      {.ended = ended, .has_result = !result_.empty(), .lived = lived, .short_lives = short_lives_});
  logs_.launcher(runtime::say("coordinator of term ", term_, " ended: ", describe(ended)));
  if (after.starts_again && starts_again_) {
    short_lives_ = lived < kShortLife ? short_lives_ + 1 : 0;
    start();
    return;
  }
  is_final_ = true;
  if (after.starts_again) after = {.exit_code = kFailed};
  callbacks_.ended(after);
}

std::vector<pid_t> CoordinatorProcess::pids() const {
  return is_live() ? std::vector<pid_t>{process_->pid()} : std::vector<pid_t>{};
}

}  // namespace cadre::launch
