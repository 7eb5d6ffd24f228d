#include "trainer/run/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "runtime/crc32c.h"
#include "runtime/error.h"

namespace cadre::run {
namespace {

template <typename Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// Protocol buffers' wire format: a key is field number and wire type.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7f) | 0x80);
  return bytes + static_cast<char>(value);
}
std::string key(std::uint64_t field, std::uint64_t wire_type) {
  return varint(field << 3 | wire_type);
}
std::string bytes_field(std::uint64_t field, const std::string& bytes) {
  return key(field, 2) + varint(bytes.size()) + bytes;
}
std::string wall_time_field(double seconds) {
  return key(1, 1) + little_endian(std::bit_cast<std::uint64_t>(seconds));
}

// TFRecord stores checksums rotated and offset, so that a checksum of data that holds one is not confused with it.
std::uint32_t masked(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, double now_seconds) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::filesystem::path path =
      folder / runtime::say("events.out.tfevents.", static_cast<std::int64_t>(now_seconds), ".cadre.", getpid());
  file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) throw runtime::RunError(path.string() + ": cannot be written: " + std::strerror(errno));
  record(wall_time_field(now_seconds) + bytes_field(3, "brain.Event:2"));
}

TensorBoardWriter::~TensorBoardWriter() {
  if (file_ >= 0) close(file_);
}

void TensorBoardWriter::scalar(const std::string& tag, std::int64_t step, double value, double now_seconds) {
  const std::string point =
      bytes_field(1, tag) + key(2, 5) + little_endian(std::bit_cast<std::uint32_t>(static_cast<float>(value)));
  record(wall_time_field(now_seconds) + key(2, 0) + varint(static_cast<std::uint64_t>(step)) +
         bytes_field(5, bytes_field(1, point)));
}

void TensorBoardWriter::record(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  const std::string frame =
      length + little_endian(masked(runtime::crc32c(length))) + event + little_endian(masked(runtime::crc32c(event)));
  if (write(file_, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size())) {
    throw runtime::RunError(runtime::say("TensorBoard's event file cannot be written: ", std::strerror(errno)));
  }
}

}  // namespace cadre::run
