#include "runtime/file_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <variant>

#include "runtime/atomic_file.h"
#include "runtime/file_server.h"

namespace cadre::runtime {
namespace {

// The server may flush gigabytes to its disk before it answers.
constexpr std::chrono::minutes kSilence{10};

}  // namespace

FileClient::FileClient(std::vector<Endpoint> servers, std::string token, std::chrono::milliseconds patience)
    : connection_({.endpoints = std::move(servers),
                   .token = std::move(token),
                   .limits = kFileChannelLimits,
                   .connect_deadline = patience,
                   .silence_limit = kSilence}) {}

FileAnswer FileClient::ask(const MemberMessage& request) {
  connection_.send(request);
  CoordinatorMessage message = connection_.next();
  auto* answer = std::get_if<FileAnswer>(&message);
  if (answer == nullptr) throw RunError("the launch node's file server does not answer as one");
  if (!answer->problem.empty()) throw RunError("on the launch node: " + answer->problem);
  return std::move(*answer);
}

void FileClient::fetch(const std::string& path, const std::filesystem::path& to, const std::function<void()>& check) {
  AtomicFile file(to);
  std::uint64_t size = 0, done = 0;
  do {
    check();
    const FileAnswer piece = ask(ReadFile{path, done, kFilePieceBytes});
    if (done > 0 && piece.size != size) throw RunError(path + ": changed on the launch node while it was read");
    size = piece.size;
    if (piece.bytes.empty() && done < size) throw RunError(path + ": was cut short on the launch node");
    file.write(piece.bytes);
    done += piece.bytes.size();
  } while (done < size);
  file.commit();
}

void FileClient::store(const std::filesystem::path& from, const std::string& path, const std::function<void()>& check) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(from.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) throw RunError(from.string() + ": " + std::strerror(errno));
  FileUpload upload(*this, path);
  std::array<std::byte, 1 << 16> block;
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), file.get())) {
    check();
    upload.write(std::span(block).first(got));
  }
  if (std::ferror(file.get()) != 0) throw RunError(from.string() + ": cannot be read");
  upload.finish();
}

FileUpload::FileUpload(FileClient& client, std::string path) : client_(client), path_(std::move(path)) {}

void FileUpload::write(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  while (!bytes.empty()) {
    const std::size_t taken = std::min<std::size_t>(kFilePieceBytes - piece_.size(), bytes.size());
    piece_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    bytes = bytes.subspan(taken);
    if (piece_.size() == kFilePieceBytes) send_piece();
  }
}

void FileUpload::send_piece() {
  WriteFile piece{path_, sent_, std::exchange(piece_, {})};
  sent_ += piece.bytes.size();
  client_.ask(std::move(piece));
}

std::string FileUpload::finish() {
  if (!piece_.empty() || sent_ == 0) send_piece();
  std::string hash = hash_.hex();
  client_.ask(FinishFile{path_, sent_, hash});
  return hash;
}

}  // namespace cadre::runtime
