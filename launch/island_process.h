// A live island: its mpirun, what its ranks say, and whether they have got as far as to know what to do.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "launch/island.h"
#include "launch/pipes.h"
#include "launch/run_logs.h"

namespace cadre::launch {

class IslandProcess {
 public:
  struct Options {
    std::uint32_t first_rank = 0;
    std::string boot_message = {};  // goes to the first rank's stdin
    IslandCommand command = {};
    std::vector<std::pair<std::string, std::string>> environment = {};
  };
  struct Callbacks {
    // The run's rank numbers.
    std::function<void(std::uint32_t rank, pid_t pid)> booted;
    std::function<void(std::uint32_t rank, const Ended& how)> rank_ended;
    std::function<void()> closed;  // a stream of mpirun's came to its end: it may be over
  };

  // UserError when mpirun is missing.
  IslandProcess(boost::asio::io_context& io, Options options, RunLogs& logs, Callbacks callbacks);
  IslandProcess(const IslandProcess&) = delete;
  IslandProcess& operator=(const IslandProcess&) = delete;

  // All its ranks have said that MPI is over for them; one of them, by its number in the run.
  bool is_booted() const { return booted_ranks_.size() == options_.command.ranks; }
  bool is_booted(std::uint32_t rank) const { return booted_ranks_.contains(rank - options_.first_rank); }
  // mpirun has ended and all that it and its ranks said has been read.
  bool is_over();
  ChildProcess& mpirun() { return *mpirun_; }
  const std::string& host() const { return options_.command.host; }
  std::uint32_t first_rank() const { return options_.first_rank; }
  std::uint32_t ranks() const { return options_.command.ranks; }
  std::string name() const;  // for messages: "the ranks 4 to 7 on b"
  // The last line that the rank, or mpirun itself, wrote to stderr; may be empty.
  std::string last_words(std::uint32_t rank) const;
  std::string last_words_of_mpirun() const { return mpirun_says_; }

 private:
  struct Stream {
    TaggedOutput tags;
    std::unique_ptr<PipeReader> reader;
  };

  void open(boost::asio::io_context& io, Stream& stream, Descriptor end);
  void take(const TaggedOutput::Piece& piece);
  void take_line_of_rank(std::uint32_t local, const std::string& line);

  Options options_;
  RunLogs& logs_;
  Callbacks callbacks_;
  std::set<std::uint32_t> booted_ranks_;  // within the island
  std::optional<ChildProcess> mpirun_;
  std::unique_ptr<PipeWriter> stdin_;
  Stream stdout_, stderr_;
  std::map<std::uint32_t, LineCutter> rank_stderr_;
  std::map<std::uint32_t, std::string> rank_says_;
  LineCutter mpirun_lines_;
  std::string mpirun_says_;
};

}  // namespace cadre::launch
