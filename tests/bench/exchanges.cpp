#include "tests/bench/exchanges.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "comm/all_gather.h"
#include "comm/exact_reduction.h"
#include "runtime/order.h"

namespace cadre::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

std::size_t count_of(const std::vector<std::vector<runtime::Range>>& nodes) {
  std::size_t count = 0;
  for (const auto& of_rank : nodes) count += of_rank.size();
  return count;
}

std::vector<std::vector<runtime::Range>> even_nodes(std::uint32_t micro_batches, const runtime::View& view) {
  return runtime::nodes_of({}, micro_batches, view, false);
}

}  // namespace

PlainExchange::PlainExchange(comm::Communicator& communicator, std::span<const float> contribution,
                             std::span<float> result)
    : communicator_(communicator), contribution_(contribution), result_(result), inbox_(result.size()) {}

Milliseconds PlainExchange::run() {
  const Clock::time_point begin = Clock::now();
  const auto size = static_cast<std::size_t>(communicator_.size());
  const auto self = static_cast<std::size_t>(communicator_.rank());
  const auto part = [&](auto values, std::size_t of) {
    const std::size_t first = values.size() * of / size, end = values.size() * (of + 1) / size;
    return values.subspan(first, end - first);
  };
  const std::span<float> own = part(result_, self);
  const auto arrived = [&](std::size_t peer) { return std::span(inbox_).subspan(peer * own.size(), own.size()); };
  inbox_.resize(size * own.size());
  comm::Group scatter, gather;
  for (std::size_t peer = 0; peer < size; ++peer) {
    if (peer == self) continue;
    const int number = static_cast<int>(peer);
    scatter.sends.push_back({.to = number, .bytes = std::as_bytes(part(contribution_, peer))});
    scatter.receives.push_back({.from = number, .bytes = std::as_writable_bytes(arrived(peer))});
    gather.sends.push_back({.to = number, .bytes = std::as_bytes(own)});
    gather.receives.push_back({.from = number, .bytes = std::as_writable_bytes(part(result_, peer))});
  }
  communicator_.wait(communicator_.start(std::move(scatter)));
  std::span<const float> sum = part(contribution_, self);
  for (std::size_t peer = 0; peer < size; ++peer) {
    if (peer == self) continue;
    std::ranges::transform(sum, arrived(peer), own.begin(), std::plus());
    sum = own;
  }
  if (size == 1) std::ranges::copy(sum, own.begin());
  const double reduce = milliseconds_since(begin);
  communicator_.wait(communicator_.start(std::move(gather)));
  return {reduce, milliseconds_since(begin)};
}

ExactExchange::ExactExchange(comm::Communicator& communicator, const runtime::View& view, std::uint32_t micro_batches,
                             std::span<float> result)
    : communicator_(communicator),
      micro_batches_(micro_batches),
      result_(result),
      chunks_{.elements = result.size()},
      placement_(runtime::place(view, chunks_.count(), 1)),
      nodes_(even_nodes(micro_batches, view)) {}

Milliseconds ExactExchange::run(std::span<const std::vector<float>> contributions) {
  const Clock::time_point begin = Clock::now();
  comm::ExactReduction reduction(
      communicator_, {.micro_batches = micro_batches_, .nodes = nodes_, .chunks = chunks_, .placement = &placement_});
  for (const std::vector<float>& sum : contributions) reduction.contribute(sum);
  const comm::ReducedChunks reduced = reduction.finish();
  const double reduce = milliseconds_since(begin);
  for (const auto& [chunk, sum] : reduced) {
    const auto at = static_cast<std::ptrdiff_t>(chunks_.range(chunk).begin);
    std::ranges::copy(sum.values, result_.begin() + at);
  }
  comm::AllGather(communicator_, {.chunks = chunks_, .holders = &placement_}, result_).finish();
  return {reduce, milliseconds_since(begin)};
}

std::vector<std::size_t> ExactExchange::nodes_by_rank() const {
  std::vector<std::size_t> counts;
  for (const auto& nodes : nodes_) counts.push_back(nodes.size());
  return counts;
}

double ExactExchange::bytes_factor() const {
  std::uint64_t sent = 0;
  for (std::uint32_t rank = 0; rank < nodes_.size(); ++rank) {
    for (std::uint64_t chunk = 0; chunk < chunks_.count(); ++chunk) {
      if (placement_.owner_of(chunk) != rank) sent += nodes_[rank].size() * chunks_.range(chunk).size();
    }
  }
  const std::uint64_t plain = (nodes_.size() - 1) * chunks_.elements;
  return plain == 0 ? 1 : static_cast<double>(sent) / static_cast<double>(plain);
}

std::uint32_t worst_micro_batches(const runtime::View& view) {
  const auto ranks = static_cast<std::uint32_t>(view.size());
  std::uint32_t worst = ranks;
  for (std::uint32_t micro_batches = ranks; micro_batches <= 4 * ranks; ++micro_batches) {
    if (count_of(even_nodes(micro_batches, view)) > count_of(even_nodes(worst, view))) worst = micro_batches;
  }
  return worst;
}

}  // namespace cadre::bench
