// The ends of pipes that the launcher holds, on its one thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "launch/child_process.h"

namespace cadre::launch {

// Reads until the other end closes. Nothing is called once this is gone.
class PipeReader {
 public:
  PipeReader(boost::asio::io_context& io, Descriptor end, std::function<void(std::string_view)> on_bytes,
             std::function<void()> on_end);
  PipeReader(const PipeReader&) = delete;
  PipeReader& operator=(const PipeReader&) = delete;

  bool is_open() const { return end_.is_open(); }

 private:
  void read();

  boost::asio::posix::stream_descriptor end_;
  std::function<void(std::string_view)> on_bytes_;
  std::function<void()> on_end_;
  char block_[1 << 14];
};

// Writes what was sent, in order; never blocks. A reader that is gone is no error: who it was ends in its own way.
class PipeWriter {
 public:
  PipeWriter(boost::asio::io_context& io, Descriptor end);
  PipeWriter(const PipeWriter&) = delete;
  PipeWriter& operator=(const PipeWriter&) = delete;

  void send(const std::string& text);
  void close_when_sent();

 private:
  void write();

  boost::asio::posix::stream_descriptor end_;
  std::string waiting_, under_way_;
  bool closes_ = false;
};

// Cuts a stream into lines of at most `max_bytes`; what is longer is cut there.
class LineCutter {
 public:
  explicit LineCutter(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  void take(std::string_view bytes, const std::function<void(const std::string&)>& on_line);

 private:
  std::size_t max_bytes_;
  std::string line_;
};

}  // namespace cadre::launch
