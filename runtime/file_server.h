// The run's files for ranks that do not see its folder: on the launch node, beside the coordinator. They read the
// prepared data and checkpoints, and write the shards of a checkpoint, the result and their traces.
//
// Request and answer, piece by piece: nobody holds more than a piece of a file for each connection, a slow disk or a
// slow network holds its sender up, and what goes between checkpoints and votes never waits for a file. A file that is
// written appears whole, when its size and hash are those that its sender says, or not at all.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/atomic_file.h"
#include "runtime/control_server.h"
#include "runtime/sha256.h"

namespace cadre::runtime {

inline constexpr std::uint32_t kFilePieceBytes = 1 << 20;
// Of a connection to the file server: a piece with its name.
inline constexpr ChannelLimits kFileChannelLimits{.frame_bytes = kFilePieceBytes + (1 << 16),
                                                  .queue_bytes = 4 * (kFilePieceBytes + (1 << 16))};

// What ranks may read and write. Paths are compared as they are written: the ranks have them from this process.
struct FileRules {
  std::vector<std::filesystem::path> readable = {};  // folders, with all that is below
  std::filesystem::path checkpoints = {};            // shards are written into staging folders in it
  std::filesystem::path result = {};                 // files are written into it, but not over the run's own records
  std::filesystem::path traces = {};                 // ranks' traces are written into it
};
// Why `path` is none of them; empty: it may be.
std::string problem_with_reading(const FileRules& rules, const std::filesystem::path& path);
std::string problem_with_writing(const FileRules& rules, const std::filesystem::path& path);

struct FileServerOptions {
  std::string token = {};
  std::vector<std::string> addresses = {};  // numeric; listened on, each at a port of its own
  FileRules rules = {};
  Refusals::Tell tell_refusals = {};  // on its thread, and at the end
};

// One thread, "files".
class FileServer : public ControlHandler {
 public:
  // RunError when it cannot listen.
  explicit FileServer(FileServerOptions options);
  // Ends all connections; what is not finished disappears.
  ~FileServer() override;

  const std::vector<Endpoint>& endpoints() const { return endpoints_; }

 private:
  // What a connection is at.
  struct Transfer {
    std::filesystem::path path = {};
    int source = -1;  // of the file that is read
    std::uint64_t size = 0;
    std::unique_ptr<AtomicFile> target = {};  // of the file that is written, with what has arrived of it
    std::uint64_t arrived = 0;
    Sha256 hash = {};

    ~Transfer();
  };

  void run();
  void on_open(Connection connection, const std::string& peer) override;
  void on_message(Connection connection, MemberMessage message) override;
  void on_close(Connection connection, ChannelEnd why) override;
  FileAnswer answer(Connection connection, const ReadFile& asked);
  FileAnswer answer(Connection connection, const WriteFile& piece);
  FileAnswer answer(Connection connection, const FinishFile& end);

  FileServerOptions options_;
  boost::asio::io_context io_{1};
  std::map<Connection, std::unique_ptr<Transfer>> transfers_;
  std::unique_ptr<ControlServer> server_;
  std::vector<Endpoint> endpoints_;
  std::thread thread_;
};

}  // namespace cadre::runtime
