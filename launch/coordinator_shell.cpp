#include "launch/coordinator_shell.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/json/parse.hpp>
#include <iostream>
#include <istream>

#include "launch/exit_code.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/failpoints.h"
#include "runtime/json_fields.h"
#include "runtime/json_print.h"
#include "runtime/match.h"
#include "runtime/plain_text.h"
#include "runtime/run_folder.h"
#include "runtime/shared_folder.h"

namespace cadre::launch {
namespace {

using runtime::Failpoint;
using runtime::reach;
using runtime::say;

constexpr std::chrono::milliseconds kTick{250};
constexpr std::uint64_t kTicksAlive = 4;  // from one word to the launcher to the next
constexpr std::size_t kMaxControlBytes = 1 << 16;

int exit_code_of(runtime::RunOutcome outcome) {
  switch (outcome) {
    case runtime::RunOutcome::kSucceeded:
      return kDone;
    case runtime::RunOutcome::kStopped:
      return kResumable;
    case runtime::RunOutcome::kUserError:
      return kUserMustMend;
    case runtime::RunOutcome::kFailed:
      break;
  }
  return kFailed;
}

const char* name_of(runtime::RunOutcome outcome) {
  switch (outcome) {
    case runtime::RunOutcome::kSucceeded:
      return "succeeded";
    case runtime::RunOutcome::kStopped:
      return "stopped";
    default:
      return "failed";
  }
}

void write_to_log(const std::string& line) {
  std::cerr << say(runtime::iso_time(runtime::now_utc()), " ", line, "\n");
}

}  // namespace

CoordinatorShell::CoordinatorShell(CoordinatorBoot boot, const Descriptors& descriptors)
    : boot_(std::move(boot)),
      resolved_(config::load_text(boot_.boot.configuration, "the run's configuration", {})),
      folder_(resolved_.config.output_dir),
      report_(descriptors.report),
      control_(io_, descriptors.control),
      control_text_(kMaxControlBytes),
      ticks_(io_) {
  runtime::CoordinatorOptions options = find_start();
  term_.emplace(folder_, boot_.term);
  journal_.emplace(folder_ / "journal.jsonl");
  coordinator_.emplace(std::move(options), std::chrono::steady_clock::now());
  server_ = std::make_unique<runtime::ControlServer>(
      io_,
      runtime::ControlServerOptions{
          .token = boot_.boot.token, .listeners = descriptors.listeners, .tell_refusals = write_to_log},
      *this);
  publisher_ = std::make_unique<CheckpointPublisher>(
      runtime::CheckpointStore(folder_ / "checkpoints"),
      [this](std::uint64_t step, const std::string& problem) {
        boost::asio::post(io_, [this, step, problem] {
          perform(coordinator_->on_checkpoint_published(step, problem, std::chrono::steady_clock::now()));
        });
      },
      [this](const std::string& line) { boost::asio::post(io_, [this, line] { say(line, true); }); });
}

CoordinatorShell::~CoordinatorShell() = default;

int CoordinatorShell::run() {
  read_control();
  tick();
  while (!exit_code_) {
    try {
      io_.run();
      CADRE_CHECK(exit_code_.has_value(), "nothing left to wait for");
    } catch (const std::exception& error) {
      give_up(error.what());
    }
    io_.restart();
  }
  return *exit_code_;
}

void CoordinatorShell::give_up(const std::string& reason) {
  if (exit_code_) return;
  runtime::Finished end;
  end.outcome = runtime::RunOutcome::kFailed;
  end.reason = reason;
  put_out(connected_, "the run has ended: " + reason);
  finish(end);
}

// They do not come back, as those do whose connection is lost.
void CoordinatorShell::put_out(const std::set<runtime::Connection>& connections, const std::string& reason) {
  for (const runtime::Connection connection : connections) {
    server_->send(connection, runtime::Refused{reason});
    server_->close(connection);
  }
}

void CoordinatorShell::on_open(runtime::Connection connection, const std::string&) {
  connected_.insert(connection);
}

void CoordinatorShell::on_message(runtime::Connection connection, runtime::MemberMessage message) {
  if (auto* join = std::get_if<runtime::Join>(&message)) {
    reach(Failpoint::kJoin, coordinator_->done_steps());
    look_for_proof(*join);
  }
  if (const auto* ready = std::get_if<runtime::Ready>(&message); ready != nullptr && !workload_) {
    workload_ = ready->workload;
  }
  if (const auto* back = std::get_if<runtime::Rejoin>(&message); back != nullptr && back->is_ready && !workload_) {
    workload_ = back->workload;
  }
  if (coordinator_->finished() &&
      (std::holds_alternative<runtime::Rejoin>(message) || std::holds_alternative<runtime::Join>(message))) {
    return put_out({connection}, "the run has ended");
  }
  perform(coordinator_->on_message(connection, std::move(message), std::chrono::steady_clock::now()));
}

void CoordinatorShell::on_close(runtime::Connection connection, runtime::ChannelEnd why) {
  connected_.erase(connection);
  if (coordinator_->finished() || exit_code_) {
    if (connected_.empty()) io_.stop();
    return;
  }
  perform(coordinator_->on_closed(connection, runtime::describe(why), std::chrono::steady_clock::now()));
}

void CoordinatorShell::on_detach(runtime::Connection connection, runtime::ChannelEnd why) {
  if (coordinator_->finished() || exit_code_) return on_close(connection, why);
  connected_.erase(connection);
  perform(coordinator_->on_detached(connection, std::chrono::steady_clock::now()));
}

void CoordinatorShell::tick() {
  if (ticked_++ % kTicksAlive == 0) report_news({{"alive", true}});
  ticks_.expires_after(kTick);
  ticks_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    if (!coordinator_->finished()) perform(coordinator_->on_tick(std::chrono::steady_clock::now()));
    tick();
  });
}

void CoordinatorShell::read_control() {
  boost::asio::async_read_until(
      control_, control_text_, '\n', [this](const boost::system::error_code& error, std::size_t) {
        if (error) {
          if (!coordinator_->finished()) {
            perform(coordinator_->on_stop("the launcher is gone", std::chrono::steady_clock::now()));
          }
          return;
        }
        std::istream text(&control_text_);
        std::string line;
        std::getline(text, line);
        obey_control(line);
        read_control();
      });
}

void CoordinatorShell::obey_control(const std::string& line) {
  if (coordinator_->finished()) return;
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(line, error);
  if (error || !value.is_object()) return say("the launcher sent a line that is no JSON object", true);
  const boost::json::object& object = value.get_object();
  const auto text = [&](const char* name) { return runtime::text_in(object, name); };
  const auto number = [&](const char* name) {
    const auto* found = object.if_contains(name);
    boost::json::error_code none;
    return found != nullptr ? found->to_number<runtime::Rank>(none) : 0;
  };
  const auto ranks = [&] {
    std::set<runtime::Rank> found;
    const auto* list = object.if_contains("ranks");
    if (list == nullptr || !list->is_array()) return found;
    for (const boost::json::value& rank : list->get_array()) {
      if (const auto* one = rank.if_int64()) found.insert(static_cast<runtime::Rank>(*one));
    }
    return found;
  };
  const auto now = std::chrono::steady_clock::now();
  const std::string control = text("control");
  if (control == "stop") perform(coordinator_->on_stop(text("reason"), now));
  if (control == "fail") give_up(text("reason"));
  if (control == "rank_ended") {
    perform(coordinator_->on_rank_ended(number("rank"), number("pid"), text("how"), now));
  }
  if (control == "left_out") perform(coordinator_->on_left_out(number("rank"), text("reason"), now));
  if (control == "invited") perform(coordinator_->on_invited(ranks(), number("numbers"), text("host"), now));
  if (control == "drain") {
    const bool is_agreed = !object.contains("id");
    const std::string problem = is_agreed ? "" : coordinator_->why_not_drain(ranks());
    if (problem.empty()) perform(coordinator_->on_drain(ranks(), text("host"), now));
    if (!is_agreed) report({{"drain", {{"id", text("id")}, {"problem", problem}}}});
  }
}

void CoordinatorShell::perform(runtime::Effects effects) {
  for (runtime::Effect& effect : effects) {
    if (exit_code_) return;
    perform(effect);
  }
}

void CoordinatorShell::perform(runtime::Effect& effect) {
  std::visit(
      runtime::Match{[&](runtime::Tell& e) { tell(e); }, [&](runtime::Close& e) { server_->close(e.connection); },
                     [&](runtime::Journal& e) { journal(e); },
                     [&](runtime::Publish& e) {
                       reach(Failpoint::kCheckpoint, e.manifest.step);
                       publisher_->publish(std::move(e));
                     },
                     [&](runtime::GiveUpCheckpoint& e) { publisher_->give_up(e); },
                     [&](runtime::FindCheckpoint&) { look_for_checkpoint(); },
                     [&](runtime::RemoveCheckpoint& e) { publisher_->remove(e.step); },
                     [&](runtime::Committed& e) {
                       reach(Failpoint::kApply, e.step - 1);
                       recorder_->committed(e);
                     },
                     [&](runtime::EvaluationDone& e) { recorder_->evaluated(e); },
                     [&](runtime::RolledBack& e) { recorder_->rolled_back(e); },
                     [&](runtime::Recovered& e) { begin_records(e.kept, e.seconds); },
                     [&](runtime::Say& e) { say(e.line, e.warning); }, [&](runtime::Finished& e) { finish(e); }},
      effect);
}

void CoordinatorShell::look_for_proof(runtime::Join& join) {
  join.self.shares_folder = runtime::find_folder_proof(folder_, boot_.boot.token, join.folder_proof);
  if (join.self.shares_folder || !hosts_apart_.insert(join.self.host).second) return;
  say(runtime::plain_line(join.self.host) + " does not share " + folder_.string() +
          " with this machine: its ranks get data and checkpoints from here, and send theirs here",
      false);
}

const runtime::FileServer& CoordinatorShell::file_server() {
  if (file_server_ != nullptr) return *file_server_;
  const config::Config& config = resolved_.config;
  const std::string& from = config.resume_from_checkpoint;
  runtime::FileServerOptions options{.token = boot_.boot.token};
  options.tell_refusals = [](const std::string& line) { write_to_log("file server: " + line); };
  options.rules = {.readable = {folder_ / "checkpoints", config.dataset_prepared_path},
                   .checkpoints = folder_ / "checkpoints",
                   .result = folder_,
                   .traces = folder_ / "trace"};
  if (from != "auto" && from != "none") options.rules.readable.push_back(from);
  for (const runtime::Endpoint& endpoint : boot_.boot.coordinator) options.addresses.push_back(endpoint.address);
  file_server_ = std::make_unique<runtime::FileServer>(std::move(options));
  return *file_server_;
}

void CoordinatorShell::tell(runtime::Tell& effect) {
  if (auto* welcome = std::get_if<runtime::Welcome>(&effect.message); welcome && !welcome->shares_folder) {
    welcome->file_server = file_server().endpoints();
  }
  if (std::holds_alternative<runtime::NewView>(effect.message) && !recorder_) begin_records(start_step_, 0);
  if (std::holds_alternative<runtime::Fence>(effect.message)) reach(Failpoint::kRecovery, coordinator_->done_steps());
  server_->broadcast(effect.to, effect.message);
}

// The ranks know what there is to do: from now on there are steps to record.
void CoordinatorShell::begin_records(std::optional<std::uint64_t> done, double seconds) {
  CADRE_CHECK(workload_.has_value(), "a view without a rank that is ready");
  recorder_.emplace(
      resolved_.config, folder_, [this](const boost::json::object& news) { report_news(news); },
      run::Recorder::Start{.total_steps = workload_->total_steps, .done = done, .seconds = seconds});
  report({{"workload", {{"max_steps", workload_->total_steps}, {"trained_parameters", workload_->elements}}}});
}

void CoordinatorShell::journal(const runtime::Journal& effect) {
  boost::json::object entry = effect.entry;
  entry["time"] = runtime::iso_time(runtime::now_utc());
  const bool is_commit = entry.at("event") == "commit";
  const std::uint64_t step = is_commit ? coordinator_->done_steps() - 1 : 0;  // the machine is past it already
  if (is_commit) reach(Failpoint::kPrepared, step);
  term_->append(entry, effect.durability);
  if (is_commit) reach(Failpoint::kCommitted, step);
  if (effect.for_people) journal_->write(entry);
  // For who starts lost ranks again.
  if (entry.at("event") == "joined") report({{"rank_joined", entry.at("rank")}});
  if (entry.at("event") == "lost") report({{"rank_lost", entry.at("rank")}, {"was_member", entry.at("was_member")}});
  if (entry.at("event") == "drained") report({{"rank_lost", entry.at("rank")}, {"was_member", true}});
}

void CoordinatorShell::say(const std::string& line, bool warning) {
  report({{warning ? "warning" : "note", line}});
}

// A launcher that is stopped (Ctrl-Z) must not stop the run: of what it does not read the news of steps are left out.
void CoordinatorShell::report_news(const boost::json::object& line) {
  constexpr int kMostUnread = 32 << 10;  // half of what a pipe holds
  int unread = 0;
  if (::ioctl(report_, FIONREAD, &unread) == 0 && unread > kMostUnread) return;
  report(line);
}

void CoordinatorShell::report(const boost::json::object& line) {
  const std::string text = runtime::json_line(line) + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(report_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the launcher is gone; the end of its control lines says so too
    done += static_cast<std::size_t>(written);
  }
}

void CoordinatorShell::finish(const runtime::Finished& effect) {
  reach(Failpoint::kEnd, effect.step);
  boost::json::object files;
  for (const auto& [name, hash] : effect.result_sha256) files[name] = hash;
  report({{"result",
           {{"outcome", name_of(effect.outcome)},
            {"user_can_mend", effect.outcome == runtime::RunOutcome::kUserError},
            {"reason", effect.reason},
            {"step", effect.step},
            {"of", effect.result_of},
            {"sha256", std::move(files)}}}});
  exit_code_ = exit_code_of(effect.outcome);
  runtime::remove_folder_proofs(folder_);
  if (connected_.empty()) return io_.stop();
  // What was told last still goes out; the ranks close their ends when they have heard it, and sent their traces.
  const bool are_traces_sent = boot_.boot.trace && file_server_ != nullptr;
  ticks_.expires_after(are_traces_sent ? std::chrono::seconds(60) : std::chrono::seconds(3));
  ticks_.async_wait([this](const boost::system::error_code&) { io_.stop(); });
}

}  // namespace cadre::launch
