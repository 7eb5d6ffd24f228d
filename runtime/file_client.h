// A rank's way to the run's files where it does not see the run's folder: file_server.h. Blocks; used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/control_client.h"
#include "runtime/sha256.h"

namespace cadre::runtime {

class FileClient {
 public:
  // `patience`: until a server answers.
  FileClient(std::vector<Endpoint> servers, std::string token, std::chrono::milliseconds patience);

  // Copies the launch node's file to `to`, which must be below a folder that is there. RunError: it is not to be had,
  // the local disk refuses, the connection is lost. `check` is called before each piece and may throw.
  void fetch(
      const std::string& path, const std::filesystem::path& to, const std::function<void()>& check = [] {});

  // Copies a file of this host to the launch node; `check` as above.
  void store(
      const std::filesystem::path& from, const std::string& path, const std::function<void()>& check = [] {});

 private:
  friend class FileUpload;
  FileAnswer ask(const MemberMessage& request);

  ControlClient connection_;
};

// A file of the launch node that is written bit by bit and appears whole with finish(), or not at all.
class FileUpload {
 public:
  // `client` must outlive it, and has no other upload meanwhile.
  FileUpload(FileClient& client, std::string path);

  // RunError, as from finish().
  void write(std::span<const std::byte> bytes);
  // Returns the sha256 of the file, which is there now, with `bytes()` bytes.
  std::string finish();
  std::uint64_t bytes() const { return sent_ + piece_.size(); }

 private:
  void send_piece();

  FileClient& client_;
  std::string path_, piece_;
  std::uint64_t sent_ = 0;
  Sha256 hash_;
};

}  // namespace cadre::runtime
