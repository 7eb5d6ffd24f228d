// Which chunks of a gradient are final while a backward pass is under way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "runtime/chunks.h"
#include "trainer/model/parameter_space.h"

namespace cadre::run {

// Hears of pieces in any order, and tells of chunks in descending order: each once it and all higher ones are final.
class GradientFront {
 public:
  using Final = std::function<void(std::uint64_t chunk)>;
  GradientFront(runtime::ChunkSpace chunks, Final on_final);

  // The gradient of elements [begin, end) is there. A second time for the same elements is a failed check: what was
  // told of them has left.
  void add(std::uint64_t begin, std::uint64_t end);
  // The backward pass is over: all that is left.
  void finish();

 private:
  void tell_down_to(std::uint64_t element);

  runtime::ChunkSpace chunks_;
  Final on_final_;
  std::map<std::uint64_t, std::uint64_t> pieces_;  // below the front: begin to end
  std::uint64_t front_;                            // all elements from here on are final
  std::uint64_t next_;                             // chunks not told yet
};

// For as long as it lives a space's backward passes move the front.
class Listening {
 public:
  Listening(model::ParameterSpace& space, GradientFront& front) : space_(space) {
    space_.listen([&front](std::uint64_t begin, std::uint64_t end) { front.add(begin, end); });
  }
  ~Listening() { space_.listen({}); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  model::ParameterSpace& space_;
};

}  // namespace cadre::run
