#include "runtime/file_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/checkpoint_store.h"
#include "runtime/control_socket.h"
#include "runtime/error.h"
#include "runtime/manifest.h"
#include "runtime/match.h"
#include "runtime/plain_text.h"
#include "runtime/quiet_thread.h"

namespace cadre::runtime {
namespace {

namespace fs = std::filesystem;

// What the coordinator and the launcher write beside the result.
constexpr std::array<std::string_view, 4> kRecords{"run.json", "journal.jsonl", "ledger.jsonl", "metrics.jsonl"};
constexpr std::string_view kTermJournals = "journal.term-";

// The names that lead from `folder` to `path`, both as they are written; none: it is not below. No name goes back up.
std::vector<std::string> way_to(const fs::path& path, const fs::path& folder) {
  if (folder.empty()) return {};
  auto [above, left] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  if (above != folder.end() && above->empty()) ++above;  // a folder's name may end in a slash
  if (above != folder.end()) return {};
  std::vector<std::string> names;
  for (; left != path.end(); ++left) {
    std::string name = left->string();
    if (name.empty() || name == "." || name == "..") return {};
    names.push_back(std::move(name));
  }
  return names;
}

std::string refused(const fs::path& path, const char* what) {
  return say(plain_line(path.string()), ": not a file that a rank of this run ", what);
}

}  // namespace

std::string problem_with_reading(const FileRules& rules, const fs::path& path) {
  const auto leads = [&](const fs::path& folder) { return !way_to(path, folder).empty(); };
  const bool allowed = std::any_of(rules.readable.begin(), rules.readable.end(), leads);
  return allowed ? "" : refused(path, "reads");
}

std::string problem_with_writing(const FileRules& rules, const fs::path& path) {
  if (!is_plain_file_name(path.filename().string())) return refused(path, "writes");
  if (const auto way = way_to(path, rules.checkpoints); way.size() == 2 && is_staging_folder(way[0])) return {};
  if (const auto way = way_to(path, rules.result); way.size() == 1) {
    const std::string& name = way[0];
    const bool is_record =
        std::find(kRecords.begin(), kRecords.end(), name) != kRecords.end() || name.starts_with(kTermJournals);
    if (!is_record) return {};
  }
  if (const auto way = way_to(path, rules.traces); way.size() == 1) {
    if (way[0].starts_with("rank-") && way[0].ends_with(".json")) return {};
  }
  return refused(path, "writes");
}

FileServer::Transfer::~Transfer() {
  if (source >= 0) ::close(source);
}

FileServer::FileServer(FileServerOptions options) : options_(std::move(options)) {
  ControlServerOptions listening{
      .token = options_.token, .limits = kFileChannelLimits, .tell_refusals = options_.tell_refusals};
  for (const std::string& address : options_.addresses) listening.listeners.push_back(listen_on({address, 0}));
  server_ = std::make_unique<ControlServer>(io_, std::move(listening), *this);
  endpoints_ = server_->endpoints();
  thread_ = start_quiet_thread("files", [this] { run(); });
}

FileServer::~FileServer() {
  io_.stop();
  thread_.join();
}

// What goes wrong with one connection costs the others nothing; its rank hears that it is closed.
void FileServer::run() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception&) {
    }
  }
}

void FileServer::on_open(Connection connection, const std::string&) {
  transfers_[connection] = std::make_unique<Transfer>();
}

void FileServer::on_close(Connection connection, ChannelEnd) {
  transfers_.erase(connection);
}

void FileServer::on_message(Connection connection, MemberMessage message) {
  const auto attempt = [&](const auto& request) -> FileAnswer {
    try {
      return answer(connection, request);
    } catch (const std::exception& error) {
      transfers_[connection] = std::make_unique<Transfer>();
      return {.problem = error.what()};
    }
  };
  std::visit(Match{[&](const ReadFile& it) { server_->send(connection, attempt(it)); },
                   [&](const WriteFile& it) { server_->send(connection, attempt(it)); },
                   [&](const FinishFile& it) { server_->send(connection, attempt(it)); }, [](const Heartbeat&) {},
                   [&](const auto&) { server_->close(connection); }},
             message);
}

FileAnswer FileServer::answer(Connection connection, const ReadFile& asked) {
  Transfer* transfer = transfers_.at(connection).get();
  if (transfer->source < 0 || transfer->path != asked.path) {
    if (std::string problem = problem_with_reading(options_.rules, asked.path); !problem.empty()) return {problem};
    transfers_[connection] = std::make_unique<Transfer>();
    transfer = transfers_[connection].get();
    transfer->path = asked.path;
    transfer->source = ::open(asked.path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info = {};
    if (transfer->source < 0 || ::fstat(transfer->source, &info) != 0) {
      return {say(asked.path, ": ", std::strerror(errno))};
    }
    if (!S_ISREG(info.st_mode)) return {say(asked.path, ": not a regular file")};
    transfer->size = static_cast<std::uint64_t>(info.st_size);
  }
  FileAnswer piece{.size = transfer->size};
  if (asked.offset >= transfer->size) return piece;
  piece.bytes.resize(std::min<std::uint64_t>({asked.bytes, kFilePieceBytes, transfer->size - asked.offset}));
  const ssize_t got =
      ::pread(transfer->source, piece.bytes.data(), piece.bytes.size(), static_cast<off_t>(asked.offset));
  if (got < 0) return {say(asked.path, ": ", std::strerror(errno))};
  piece.bytes.resize(static_cast<std::size_t>(got));
  return piece;
}

FileAnswer FileServer::answer(Connection connection, const WriteFile& piece) {
  Transfer* transfer = transfers_.at(connection).get();
  if (piece.offset == 0) {
    if (std::string problem = problem_with_writing(options_.rules, piece.path); !problem.empty()) return {problem};
    const fs::path path = piece.path;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return {say(path.parent_path().string(), ": cannot be made: ", error.message())};
    transfers_[connection] = std::make_unique<Transfer>();
    transfer = transfers_[connection].get();
    transfer->path = path;
    transfer->target = std::make_unique<AtomicFile>(path);
  }
  if (transfer->target == nullptr || transfer->path != piece.path || transfer->arrived != piece.offset) {
    return {
        say(plain_line(piece.path), ": expected the piece at byte ", transfer->arrived, ", found byte ", piece.offset)};
  }
  transfer->target->write(piece.bytes);
  transfer->hash.update(piece.bytes);
  transfer->arrived += piece.bytes.size();
  return {};
}

FileAnswer FileServer::answer(Connection connection, const FinishFile& end) {
  const std::unique_ptr<Transfer> transfer = std::exchange(transfers_[connection], std::make_unique<Transfer>());
  if (transfer->target == nullptr || transfer->path != end.path) {
    return {say(plain_line(end.path), ": no piece of it has arrived")};
  }
  const std::string hash = transfer->hash.hex();
  if (transfer->arrived != end.bytes || hash != end.sha256) {
    return {say(end.path, ": expected ", end.bytes, " bytes with the sha256 ", plain_line(end.sha256), ", found ",
                transfer->arrived, " with ", hash)};
  }
  transfer->target->commit();
  return {};
}

}  // namespace cadre::runtime
