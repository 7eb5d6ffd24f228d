#include "runtime/chunks.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace cadre::runtime {
namespace {

TEST(Chunks, CoverTheSpaceOnceInOrder) {
  for (const std::uint64_t chunk_elements : {1u, 2u, 7u, 64u}) {
    for (std::uint64_t elements = 0; elements < 200; ++elements) {
      const ChunkSpace space{.elements = elements, .chunk_elements = chunk_elements};
      std::uint64_t next = 0;
      for (std::uint64_t chunk = 0; chunk < space.count(); ++chunk) {
        const ChunkRange range = space.range(chunk);
        ASSERT_EQ(range.begin, next);
        ASSERT_GT(range.size(), 0u);
        ASSERT_LE(range.size(), chunk_elements);
        if (chunk + 1 < space.count()) {
          ASSERT_EQ(range.size(), chunk_elements);
        }
        for (std::uint64_t element = range.begin; element < range.end; ++element) {
          ASSERT_EQ(space.chunk_of(element), chunk);
        }
        next = range.end;
      }
      ASSERT_EQ(next, elements);
    }
  }
}

TEST(Chunks, DoNotOverflow) {
  const ChunkSpace space{.elements = std::numeric_limits<std::uint64_t>::max()};
  EXPECT_EQ(space.count(), std::uint64_t{1} << 48);
  EXPECT_EQ(space.range(space.count() - 1).end, space.elements);
}

TEST(Chunks, RefuseWhatIsOutside) {
  const ChunkSpace space{.elements = 10, .chunk_elements = 4};
  EXPECT_EQ(space.range(2), (ChunkRange{8, 10}));
  EXPECT_THROW(space.range(3), std::logic_error);
  EXPECT_THROW(space.chunk_of(10), std::logic_error);
  EXPECT_THROW((ChunkSpace{.elements = 1, .chunk_elements = 0}.count()), std::logic_error);
}

}  // namespace
}  // namespace cadre::runtime
