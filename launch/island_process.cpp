#include "launch/island_process.h"

#include <charconv>
#include <csignal>

#include "runtime/error.h"
#include "runtime/plain_text.h"

namespace cadre::launch {
namespace {

constexpr std::size_t kLongestLine = 4096;  // of those that are looked at; logs get every byte

// mpirun draws boxes around its messages.
bool is_frame(const std::string& line) {
  return line.find_first_not_of("-=* \t") == std::string::npos;
}

// 0 where there is none.
int number_after(std::string_view beginning, std::string_view line) {
  int number = 0;
  line.remove_prefix(beginning.size());
  std::from_chars(line.data(), line.data() + line.size(), number);
  return number;
}

}  // namespace

IslandProcess::IslandProcess(boost::asio::io_context& io, Options options, RunLogs& logs, Callbacks callbacks)
    : options_(std::move(options)), logs_(logs), callbacks_(std::move(callbacks)), mpirun_lines_(kLongestLine) {
  Pipe in = make_pipe(), out = make_pipe(), error = make_pipe();
  // A terminal's signals must not reach it: it would kill its ranks. When the launcher is killed nothing is left to
  // wait for, and that is what mpirun's own end is for.
  mpirun_.emplace(ChildOptions{.command = island_command_line(options_.command),
                               .environment = options_.environment,
                               .stdin_fd = in.read.get(),
                               .stdout_fd = out.write.get(),
                               .stderr_fd = error.write.get(),
                               .own_session = true,
                               .signal_on_our_death = SIGTERM});
  stdin_ = std::make_unique<PipeWriter>(io, std::move(in.write));
  stdin_->send(options_.boot_message);
  stdin_->close_when_sent();
  open(io, stdout_, std::move(out.read));
  open(io, stderr_, std::move(error.read));
}

void IslandProcess::open(boost::asio::io_context& io, Stream& stream, Descriptor end) {
  stream.reader = std::make_unique<PipeReader>(
      io, std::move(end),
      [this, &stream](std::string_view bytes) {
        for (const auto& piece : stream.tags.take(bytes)) take(piece);
      },
      [this, &stream] {
        for (const auto& piece : stream.tags.finish()) take(piece);
        callbacks_.closed();
      });
}

void IslandProcess::take(const TaggedOutput::Piece& piece) {
  if (piece.rank >= options_.command.ranks) {
    mpirun_lines_.take(piece.text, [this](const std::string& line) {
      if (is_frame(line)) return;
      logs_.launcher("mpirun of " + name() + ": " + line);
      if (mpirun_says_.empty()) mpirun_says_ = runtime::plain_line(line);
    });
    return;
  }
  logs_.rank(options_.first_rank + piece.rank, piece.text);
  if (piece.is_stdout) return;
  auto& lines = rank_stderr_.try_emplace(piece.rank, kLongestLine).first->second;
  lines.take(piece.text, [&](const std::string& line) { take_line_of_rank(piece.rank, line); });
}

void IslandProcess::take_line_of_rank(std::uint32_t local, const std::string& line) {
  const std::uint32_t rank = options_.first_rank + local;
  if (line.starts_with(kBootedLine)) {
    booted_ranks_.insert(local);
    if (is_booted()) logs_.launcher("started: " + name());
    callbacks_.booted(rank, number_after(kBootedLine, line));
  } else if (line.starts_with(kRankEndedLine)) {
    const int code = number_after(kRankEndedLine, line);
    logs_.launcher(runtime::say("rank ", rank, " ended: ", describe(of_shell_code(code))));
    callbacks_.rank_ended(rank, of_shell_code(code));
  } else if (!line.empty()) {
    rank_says_[local] = runtime::plain_line(line);
  }
}

bool IslandProcess::is_over() {
  return mpirun_->poll().has_value() && !stdout_.reader->is_open() && !stderr_.reader->is_open();
}

std::string IslandProcess::name() const {
  const std::uint32_t first = options_.first_rank, last = first + options_.command.ranks - 1;
  return (first == last ? runtime::say("rank ", first) : runtime::say("the ranks ", first, " to ", last)) +
         (host().empty() ? "" : " on " + host());
}

std::string IslandProcess::last_words(std::uint32_t rank) const {
  const auto found = rank_says_.find(rank - options_.first_rank);
  return found == rank_says_.end() ? std::string() : found->second;
}

}  // namespace cadre::launch
