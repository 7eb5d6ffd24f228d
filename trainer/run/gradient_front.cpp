#include "trainer/run/gradient_front.h"

#include <iterator>
#include <utility>

#include "runtime/error.h"

namespace cadre::run {

GradientFront::GradientFront(runtime::ChunkSpace chunks, Final on_final)
    : chunks_(chunks), on_final_(std::move(on_final)), front_(chunks.elements), next_(chunks.count()) {}

void GradientFront::add(std::uint64_t begin, std::uint64_t end) {
  const auto above = pieces_.lower_bound(begin);
  const bool meets_above = above != pieces_.end() && above->first < end;
  const bool meets_below = above != pieces_.begin() && std::prev(above)->second > begin;
  CADRE_CHECK(begin < end && end <= front_ && !meets_above && !meets_below, "elements ", begin, " to ", end,
              " a second time");
  pieces_.emplace(begin, end);
  while (!pieces_.empty() && std::prev(pieces_.end())->second == front_) {
    front_ = std::prev(pieces_.end())->first;
    pieces_.erase(std::prev(pieces_.end()));
  }
  tell_down_to(front_);
}

void GradientFront::finish() {
  tell_down_to(0);
}

void GradientFront::tell_down_to(std::uint64_t element) {
  while (next_ > 0 && chunks_.range(next_ - 1).begin >= element) on_final_(--next_);
}

}  // namespace cadre::run
