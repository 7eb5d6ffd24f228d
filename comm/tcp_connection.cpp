#include "comm/tcp_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "comm/tcp_path.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace cadre::comm {
namespace {

using runtime::say;

// A turn ends after so many bytes, so that one fast connection does not starve the others.
constexpr std::size_t kTurnBytes = std::size_t{2} << 20;

// Where dropped payloads go. Only the I/O thread writes it, and nobody reads it.
thread_local std::array<std::byte, std::size_t{64} << 10> nowhere;

std::string shown(const runtime::Stamp& stamp) {
  return say("term ", stamp.term, ", generation ", stamp.generation, ", view ", stamp.view);
}

}  // namespace

TcpConnection::TcpConnection(StreamSocket socket, Events& events, std::chrono::milliseconds drain_deadline)
    : socket_(std::move(socket)),
      events_(events),
      drain_deadline_(drain_deadline),
      drain_timer_(socket_.get_executor()),
      path_timer_(socket_.get_executor()) {
  socket_.native_non_blocking(true);
}

void TcpConnection::enter(runtime::Stamp stamp, Lane& lane) {
  stamp_ = stamp;
  lane_ = &lane;
  watch_path();
  progress();
}

void TcpConnection::leave() {
  if (closed_) return;
  lane_ = nullptr;
  target_ = nullptr;
  if (out_active_ && out_done_ == 0) out_active_ = false;
  if (out_active_ && !out_orphaned_) {
    const std::size_t sent = out_done_ - std::min(out_done_, kFrameHeaderBytes);
    const std::span<const std::byte> left = out_payload_.subspan(sent);
    rest_.assign(out_payload_.size(), std::byte{0});
    std::copy(left.begin(), left.end(), rest_.begin() + static_cast<std::ptrdiff_t>(sent));
    out_payload_ = rest_;
    out_orphaned_ = true;
  }
  if (held_) {
    held_ = false;
    read();
  }
  if (!closed_ && !held_ && in_mid_frame()) watch_draining();
}

void TcpConnection::watch_draining() {
  drain_timer_.expires_after(drain_deadline_);
  drain_timer_.async_wait([self = shared_from_this(), frames = frames_finished_](boost::system::error_code error) {
    const bool stuck = !self->closed_ && self->frames_finished_ == frames && self->in_mid_frame() && !self->held_;
    if (!error && stuck) self->lose("does not finish a frame of an ended view");
  });
}

// The other machine's kernel acknowledges what comes, also for a process that is stopped or reads nothing: where it
// does not, the network between is cut, though both may reach the coordinator.
void TcpConnection::watch_path() {
  path_timer_.expires_after(std::chrono::seconds(1));
  path_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->closed_ || self->lane_ == nullptr) return;
    if (is_path_cut(self->socket_.native_handle())) return self->lose("does not answer: the network between is cut");
    self->watch_path();
  });
}

void TcpConnection::progress() {
  if (closed_) return;
  held_ = false;
  if (!waits_readable_) read();
  if (!closed_ && !waits_writable_) write();
}

void TcpConnection::close() {
  if (closed_) return;
  closed_ = true;
  lane_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
  drain_timer_.cancel();
  path_timer_.cancel();
}

void TcpConnection::lose(const std::string& reason, Loss loss) {
  if (closed_) return;
  close();
  events_.lost(*this, loss, reason);
}

void TcpConnection::wait_readable() {
  if (waits_readable_) return;
  waits_readable_ = true;
  socket_.async_wait(StreamSocket::wait_read, [self = shared_from_this()](boost::system::error_code error) {
    self->waits_readable_ = false;
    if (self->closed_) return;
    if (error) return self->lose(say("lost the connection: ", error.message()));
    self->read();
  });
}

void TcpConnection::wait_writable() {
  if (waits_writable_) return;
  waits_writable_ = true;
  socket_.async_wait(StreamSocket::wait_write, [self = shared_from_this()](boost::system::error_code error) {
    self->waits_writable_ = false;
    if (self->closed_) return;
    if (error) return self->lose(say("lost the connection: ", error.message()));
    self->write();
  });
}

void TcpConnection::read() {
  std::size_t budget = kTurnBytes;
  bool drained = false;
  while (!closed_) {
    if (!in_frame_ && header_bytes_ == kFrameHeaderBytes && !begin_incoming()) return;
    if (in_frame_ && in_done_ == in_frame_->length) {
      finish_incoming();
      continue;
    }
    if (drained || budget == 0) return wait_readable();

    // The rest of the payload and, behind it, the next frame's header.
    iovec parts[2];
    std::size_t count = 0;
    std::size_t payload = 0;
    bool with_header = true;
    if (in_frame_) {
      const std::size_t left = in_frame_->length - in_done_;
      payload = target_ != nullptr ? left : std::min(left, nowhere.size());
      with_header = payload == left;
      parts[count++] = {target_ != nullptr ? target_ + in_done_ : nowhere.data(), payload};
    }
    if (with_header) parts[count++] = {header_.data() + header_bytes_, kFrameHeaderBytes - header_bytes_};
    const ssize_t got = ::readv(socket_.native_handle(), parts, static_cast<int>(count));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return wait_readable();
    if (got < 0) return lose(say("lost the connection: ", std::strerror(errno)));
    if (got == 0) return lose("closed the connection");
    const auto bytes = static_cast<std::size_t>(got);
    const std::size_t asked = payload + (with_header ? kFrameHeaderBytes - header_bytes_ : 0);
    drained = bytes < asked;
    budget -= std::min(budget, bytes);
    in_done_ += std::min(bytes, payload);
    header_bytes_ += bytes - std::min(bytes, payload);
  }
}

bool TcpConnection::begin_incoming() {
  const std::optional<FrameHeader> frame = decode_frame(header_);
  if (!frame) {
    lose("sent what is not a frame", Loss::kUnusable);
    return false;
  }
  held_ = frame->stamp > stamp_ || (frame->stamp == stamp_ && lane_ != nullptr && lane_->incoming.empty());
  if (held_) return false;
  target_ = nullptr;
  if (frame->stamp == stamp_ && lane_ != nullptr) {
    const Lane::Incoming& posted = lane_->incoming.front();
    if (frame->message == lane_->received && frame->message_bytes == posted.bytes.size() &&
        frame->offset == posted.done) {
      target_ = posted.bytes.data() + posted.done;
      lane_->moved = true;
    } else {
      // The lane is gone after this, and the frame is dropped below.
      events_.out_of_step(
          *this, say("sends ", frame->message_bytes, " bytes as message ", frame->message, " of ", shown(frame->stamp),
                     "; expected ", posted.bytes.size(), " bytes as message ", lane_->received));
      if (closed_) return false;
    }
  }
  in_frame_ = frame;
  in_done_ = 0;
  header_bytes_ = 0;
  if (target_ == nullptr && frame->length > 0) watch_draining();
  return true;
}

void TcpConnection::finish_incoming() {
  const FrameHeader frame = *in_frame_;
  std::byte* const bytes = std::exchange(target_, nullptr);
  in_frame_.reset();
  ++frames_finished_;
  if (bytes == nullptr) {
    if (frame.length > 0 || frame.stamp != stamp_ || lane_ == nullptr) return events_.frame_dropped();
  }
  if (runtime::digest_of({bytes, frame.length}) != frame.payload_hash) {
    return lose(say("sent a damaged frame: message ", frame.message, " of ", shown(frame.stamp)), Loss::kUnusable);
  }
  Lane::Incoming& posted = lane_->incoming.front();
  posted.done += frame.length;
  if (posted.done < posted.bytes.size()) return;
  const Communicator::Ticket ticket = posted.ticket;
  lane_->incoming.pop_front();
  ++lane_->received;
  events_.transfer_done(ticket);
}

void TcpConnection::write() {
  std::size_t budget = kTurnBytes;
  while (!closed_) {
    if (!out_active_) {
      if (lane_ == nullptr || lane_->outgoing.empty()) return;
      begin_outgoing();
    }
    if (budget == 0) return wait_writable();
    iovec parts[2];
    std::size_t count = 0;
    if (out_done_ < kFrameHeaderBytes) {
      parts[count++] = {out_header_.data() + out_done_, kFrameHeaderBytes - out_done_};
    }
    const std::size_t sent = out_done_ - std::min(out_done_, kFrameHeaderBytes);
    // sendmsg(2) takes what it only reads by a pointer to non-const.
    parts[count++] = {const_cast<std::byte*>(out_payload_.data()) + sent, out_payload_.size() - sent};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const ssize_t put = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return wait_writable();
    if (put < 0) return lose(say("lost the connection: ", std::strerror(errno)));
    out_done_ += static_cast<std::size_t>(put);
    budget -= std::min(budget, static_cast<std::size_t>(put));
    if (out_done_ == kFrameHeaderBytes + out_payload_.size()) finish_outgoing();
  }
}

void TcpConnection::begin_outgoing() {
  const Lane::Outgoing& message = lane_->outgoing.front();
  out_payload_ = message.bytes.subspan(message.done, std::min(kFrameBytes, message.bytes.size() - message.done));
  out_header_ = encode({.stamp = stamp_,
                        .message = lane_->sent,
                        .message_bytes = message.bytes.size(),
                        .offset = message.done,
                        .length = static_cast<std::uint32_t>(out_payload_.size()),
                        .payload_hash = runtime::digest_of(out_payload_)});
  out_done_ = 0;
  out_active_ = true;
  out_orphaned_ = false;
  lane_->moved = true;
}

void TcpConnection::finish_outgoing() {
  out_active_ = false;
  ++frames_finished_;
  if (std::exchange(out_orphaned_, false)) {
    rest_ = {};
    return;
  }
  Lane::Outgoing& message = lane_->outgoing.front();
  message.done += out_payload_.size();
  if (message.done < message.bytes.size()) return;
  const Communicator::Ticket ticket = message.ticket;
  lane_->outgoing.pop_front();
  ++lane_->sent;
  events_.transfer_done(ticket);
}

}  // namespace cadre::comm
