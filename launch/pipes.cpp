#include "launch/pipes.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>

namespace cadre::launch {

using Error = boost::system::error_code;

PipeReader::PipeReader(boost::asio::io_context& io, Descriptor end, std::function<void(std::string_view)> on_bytes,
                       std::function<void()> on_end)
    : end_(io, end.release()), on_bytes_(std::move(on_bytes)), on_end_(std::move(on_end)) {
  read();
}

void PipeReader::read() {
  end_.async_read_some(boost::asio::buffer(block_), [this](const Error& error, std::size_t size) {
    if (error == boost::asio::error::operation_aborted) return;  // `this` is gone
    if (size > 0) on_bytes_({block_, size});
    if (!error) return read();
    end_.close();
    on_end_();
  });
}

PipeWriter::PipeWriter(boost::asio::io_context& io, Descriptor end) : end_(io, end.release()) {}

void PipeWriter::send(const std::string& text) {
  if (!end_.is_open() || closes_) return;
  waiting_ += text;
  if (under_way_.empty()) write();
}

void PipeWriter::close_when_sent() {
  closes_ = true;
  if (under_way_.empty() && waiting_.empty() && end_.is_open()) end_.close();
}

void PipeWriter::write() {
  under_way_ = std::exchange(waiting_, {});
  boost::asio::async_write(end_, boost::asio::buffer(under_way_), [this](const Error& error, std::size_t) {
    if (error == boost::asio::error::operation_aborted) return;  // `this` is gone
    under_way_.clear();
    if (error) {
      waiting_.clear();
      end_.close();
    } else if (!waiting_.empty()) {
      write();
    } else if (closes_) {
      end_.close();
    }
  });
}

void LineCutter::take(std::string_view bytes, const std::function<void(const std::string&)>& on_line) {
  for (const char c : bytes) {
    if (c != '\n') line_ += c;
    if (c == '\n' || line_.size() >= max_bytes_) on_line(std::exchange(line_, {}));
  }
}

}  // namespace cadre::launch
