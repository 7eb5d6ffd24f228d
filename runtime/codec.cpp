#include "runtime/codec.h"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/bundle.h"
#include "runtime/error.h"

namespace cadre::runtime {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they lie in memory");

// The fields of each struct, in the order of their bytes, for writing (of a const value) and for reading.
template <typename T, typename Plain>
concept Is = std::same_as<std::remove_const_t<T>, Plain>;

auto fields(Is<Endpoint> auto& it) {
  return std::tie(it.address, it.port);
}
auto fields(Is<Member> auto& it) {
  return std::tie(it.rank, it.incarnation, it.host, it.island, it.pid, it.endpoints, it.shares_folder, it.is_leaving);
}
auto fields(Is<Stamp> auto& it) {
  return std::tie(it.term, it.generation, it.view);
}
auto fields(Is<View> auto& it) {
  return std::tie(it.stamp, it.members);
}
auto fields(Is<Range> auto& it) {
  return std::tie(it.begin, it.end);
}
auto fields(Is<Share> auto& it) {
  return std::tie(it.held, it.compute);
}
auto fields(Is<Order> auto& it) {
  return std::tie(it.kind, it.step, it.snapshot, it.must_save, it.audit, it.shares, it.checkpoint, it.reason);
}
auto fields(Is<EpochShape> auto& it) {
  return std::tie(it.steps, it.micro_batches, it.last_micro_batches);
}
auto fields(Is<Workload> auto& it) {
  return std::tie(it.total_steps, it.epochs, it.evaluation_units, it.elements, it.layout, it.digest, it.instructions,
                  it.known_answer);
}
auto fields(Is<Join> auto& it) {
  return std::tie(it.self, it.folder_proof);
}
auto fields(Is<Ready> auto& it) {
  return std::tie(it.workload, it.endpoints);
}
auto fields(Is<MicroBatchResult> auto& it) {
  return std::tie(it.index, it.loss_sum, it.tokens, it.trained_tokens, it.samples, it.view);
}
auto fields(Is<Progress> auto& it) {
  return std::tie(it.stamp, it.step, it.result);
}
auto fields(Is<ChunkNorm> auto& it) {
  return std::tie(it.chunk, it.squares);
}
auto fields(Is<ChunkDigest> auto& it) {
  return std::tie(it.chunk, it.digest);
}
auto fields(Is<Prepared> auto& it) {
  return std::tie(it.stamp, it.step, it.norms, it.copy_digests, it.parameters_digest, it.compute_seconds,
                  it.exchange_seconds, it.held, it.held_before);
}
auto fields(Is<UnitLoss> auto& it) {
  return std::tie(it.unit, it.loss_sum, it.trained_tokens);
}
auto fields(Is<Evaluated> auto& it) {
  return std::tie(it.stamp, it.step, it.units, it.parameters_digest);
}
auto fields(Is<Report> auto& it) {
  return std::tie(it.stamp, it.committed, it.step, it.held, it.results);
}
auto fields(Is<ShardWritten> auto& it) {
  return std::tie(it.stamp, it.step, it.file, it.sha256, it.bytes);
}
auto fields(Is<ShardFailed> auto& it) {
  return std::tie(it.stamp, it.step, it.reason);
}
auto fields(Is<ResultWritten> auto& it) {
  return std::tie(it.stamp, it.sha256, it.of);
}
auto fields(Is<Failed> auto& it) {
  return std::tie(it.user_can_mend, it.reason);
}
auto fields(Is<Note> auto& it) {
  return std::tie(it.warning, it.text);
}
auto fields(Is<Heartbeat> auto&) {
  return std::tie();
}
auto fields(Is<Rejoin> auto& it) {
  return std::tie(it.self, it.stamp, it.committed, it.is_ready, it.workload);
}
auto fields(Is<PeerLost> auto& it) {
  return std::tie(it.stamp, it.peer);
}
auto fields(Is<Welcome> auto& it) {
  return std::tie(it.stamp, it.rank, it.incarnation, it.shares_folder, it.file_server);
}
auto fields(Is<Refused> auto& it) {
  return std::tie(it.reason);
}
auto fields(Is<Fence> auto& it) {
  return std::tie(it.stamp);
}
auto fields(Is<NewView> auto& it) {
  return std::tie(it.view, it.load, it.checkpoint, it.resident_in, it.state_copies, it.order);
}
auto fields(Is<Commit> auto& it) {
  return std::tie(it.stamp, it.step, it.apply, it.clip_scale, it.next);
}
auto fields(Is<Proceed> auto& it) {
  return std::tie(it.stamp, it.next);
}
auto fields(Is<ReadFile> auto& it) {
  return std::tie(it.path, it.offset, it.bytes);
}
auto fields(Is<WriteFile> auto& it) {
  return std::tie(it.path, it.offset, it.bytes);
}
auto fields(Is<FinishFile> auto& it) {
  return std::tie(it.path, it.bytes, it.sha256);
}
auto fields(Is<FileAnswer> auto& it) {
  return std::tie(it.problem, it.size, it.bytes);
}
auto fields(Is<BundleItem> auto& it) {
  return std::tie(it.event, it.lines, it.payload);
}
auto fields(Is<Bundle> auto& it) {
  return std::tie(it.items);
}

template <typename T>
concept Struct = requires(T& it) {
  fields(it);
};

constexpr Order::Kind last_of(Order::Kind) {
  return Order::Kind::kEnd;
}
constexpr BundleItem::Event last_of(BundleItem::Event) {
  return BundleItem::Event::kClose;
}

template <typename T>
concept Enumeration = std::is_enum_v<T> && sizeof(T) == 1;

using Size = std::uint32_t;  // before each string, vector and map

class Writer {
 public:
  void write(bool value) { write(static_cast<std::uint8_t>(value)); }
  template <Enumeration T>
  void write(T value) {
    write(static_cast<std::uint8_t>(value));
  }
  void write(double value) { write(std::bit_cast<std::uint64_t>(value)); }
  void write(const std::string& text) {
    write_size(text.size());
    bytes_ += text;
  }
  template <std::integral T>
  void write(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  template <typename T>
  void write(const std::vector<T>& items) {
    write_size(items.size());
    for (const T& item : items) write(item);
  }
  void write(const std::map<std::string, std::string>& items) {
    write_size(items.size());
    for (const auto& [key, value] : items) {
      write(key);
      write(value);
    }
  }
  template <Struct T>
  void write(const T& value) {
    std::apply([this](const auto&... field) { (this->write(field), ...); }, fields(value));
  }

  std::string take() { return std::move(bytes_); }

 private:
  void write_size(std::size_t size) {
    CADRE_CHECK(size <= std::numeric_limits<Size>::max(), "size = ", size);
    write(static_cast<Size>(size));
  }

  std::string bytes_;
};

// The fewest bytes that a T takes: what bounds the elements of a vector before memory is taken for them.
template <typename T>
constexpr std::size_t fewest_bytes();

template <typename Tuple, std::size_t... at>
constexpr std::size_t fewest_bytes_of(std::index_sequence<at...>) {
  return (std::size_t{0} + ... + fewest_bytes<std::remove_cvref_t<std::tuple_element_t<at, Tuple>>>());
}

template <typename T>
constexpr std::size_t fewest_bytes() {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return sizeof(T);
  } else if constexpr (Struct<T>) {
    using Fields = decltype(fields(std::declval<T&>()));
    return fewest_bytes_of<Fields>(std::make_index_sequence<std::tuple_size_v<Fields>>());
  } else {
    return sizeof(Size);
  }
}

// After the first read that fails every later one does, and nothing more is taken.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  bool read(bool& value) {
    std::uint8_t byte = 0;
    if (!read(byte) || byte > 1) return fail();
    value = byte == 1;
    return true;
  }
  template <Enumeration T>
  bool read(T& value) {
    std::uint8_t byte = 0;
    if (!read(byte) || byte > static_cast<std::uint8_t>(last_of(T{}))) return fail();
    value = static_cast<T>(byte);
    return true;
  }
  bool read(double& value) {
    std::uint64_t bits = 0;
    if (!read(bits)) return false;
    value = std::bit_cast<double>(bits);
    return true;
  }
  bool read(std::string& text) {
    std::size_t size = 0;
    if (!read_size(1, size)) return false;
    text.assign(left_.substr(0, size));
    left_.remove_prefix(size);
    return true;
  }
  template <std::integral T>
  bool read(T& value) {
    if (left_.size() < sizeof value) return fail();
    std::memcpy(&value, left_.data(), sizeof value);
    left_.remove_prefix(sizeof value);
    return true;
  }
  template <typename T>
  bool read(std::vector<T>& items) {
    std::size_t size = 0;
    if (!read_size(fewest_bytes<T>(), size)) return false;
    items.resize(size);
    for (T& item : items) {
      if (!read(item)) return false;
    }
    return true;
  }
  // Keys ascend, or there would be two encodings of one map.
  bool read(std::map<std::string, std::string>& items) {
    std::size_t size = 0;
    if (!read_size(2 * sizeof(Size), size)) return false;
    for (std::size_t i = 0; i < size; ++i) {
      std::string key, value;
      if (!read(key) || !read(value)) return false;
      if (!items.empty() && key <= items.rbegin()->first) return fail();
      items.emplace_hint(items.end(), std::move(key), std::move(value));
    }
    return true;
  }
  template <Struct T>
  bool read(T& value) {
    return std::apply([this](auto&... field) { return (this->read(field) && ...); }, fields(value));
  }

  bool at_end() const { return left_.empty(); }

 private:
  bool fail() {
    left_ = {};
    return false;
  }
  bool read_size(std::size_t fewest, std::size_t& size) {
    Size count = 0;
    if (!read(count)) return false;
    if (count > left_.size() / fewest) return fail();
    size = count;
    return true;
  }

  std::string_view left_;
};

// A message is the number of its kind in the variant, then its fields.
template <typename Message>
std::string encode_any(const Message& message) {
  Writer writer;
  writer.write(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& it) { writer.write(it); }, message);
  return writer.take();
}

template <typename Message, std::size_t at = 0>
std::optional<Message> decode_kind(std::uint8_t kind, Reader& reader) {
  if constexpr (at == std::variant_size_v<Message>) {
    return std::nullopt;
  } else if (kind != at) {
    return decode_kind<Message, at + 1>(kind, reader);
  } else {
    std::variant_alternative_t<at, Message> it;
    if (!reader.read(it) || !reader.at_end()) return std::nullopt;
    return Message(std::move(it));
  }
}

template <typename Message>
std::optional<Message> decode_any(std::string_view bytes) {
  Reader reader(bytes);
  std::uint8_t kind = 0;
  if (!reader.read(kind)) return std::nullopt;
  return decode_kind<Message>(kind, reader);
}

}  // namespace

std::string encode(const MemberMessage& message) {
  return encode_any(message);
}

std::string encode(const CoordinatorMessage& message) {
  return encode_any(message);
}

std::optional<MemberMessage> decode_member_message(std::string_view bytes) {
  return decode_any<MemberMessage>(bytes);
}

std::optional<CoordinatorMessage> decode_coordinator_message(std::string_view bytes) {
  return decode_any<CoordinatorMessage>(bytes);
}

std::string encode(const Bundle& bundle) {
  Writer writer;
  writer.write(bundle);
  return writer.take();
}

std::optional<Bundle> decode_bundle(std::string_view bytes) {
  Reader reader(bytes);
  Bundle bundle;
  if (!reader.read(bundle) || !reader.at_end()) return std::nullopt;
  return bundle;
}

}  // namespace cadre::runtime
