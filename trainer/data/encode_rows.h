// Rows of one source, encoded by several threads and put together in the order of the file: the result does not depend
// on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "trainer/data/dataset.h"
#include "trainer/data/row_encoder.h"
#include "trainer/data/row_reader.h"

namespace cadre::data {

enum class ExcessLength { kDrop, kTruncate, kRaise };

struct EncodeLimits {
  std::int64_t longest = 0;     // tokens of a row
  std::string longest_is = {};  // what set it, for messages: "sequence_len"
  ExcessLength excess = ExcessLength::kDrop;
  std::int64_t vocab_size = 0;  // 0: not bounded
  std::int64_t skip = 0;        // rows of the source
  std::int64_t take = 0;        // rows after those; 0: all
  int threads = 1;
  std::function<void()> check = [] {};  // between batches of rows; what it throws ends the work
};

struct EncodeCounts {
  PrepareReport report;
  std::uint64_t turn_end_missing = 0;  // rows
};

// Appends what is kept to `dataset`. Holds at most a batch of parsed rows (kBatchRows, kBatchBytes) besides. UserError
// `where:row: …`: of several bad rows always the first.
EncodeCounts encode_rows(RowReader& rows, const RowEncoder& encoder, const EncodeLimits& limits,
                         const std::string& where, Dataset& dataset);

inline constexpr std::size_t kBatchRows = 4096;
inline constexpr std::size_t kBatchBytes = 16 << 20;

}  // namespace cadre::data
