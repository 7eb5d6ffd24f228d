#include "trainer/data/encode_rows.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/error.h"

namespace cadre::data {
namespace {

struct Batch {
  std::vector<Row> rows;
  std::exception_ptr reader_failed;  // behind the rows
  bool ended = false;
};

Batch read_batch(RowReader& reader, std::uint64_t most) {
  Batch batch;
  std::size_t bytes = 0;
  while (batch.rows.size() < std::min<std::uint64_t>(kBatchRows, most) && bytes < kBatchBytes) {
    try {
      Row row;
      if (!reader.next(row)) {
        batch.ended = true;
        break;
      }
      bytes += row.bytes;
      batch.rows.push_back(std::move(row));
    } catch (const runtime::UserError&) {
      batch.reader_failed = std::current_exception();
      break;
    }
  }
  return batch;
}

struct Outcome {
  EncodedRow row;
  std::exception_ptr failed;
};

EncodedRow encode_one(const RowEncoder& encoder, const Row& row, const EncodeLimits& limits, const std::string& where) {
  EncodedRow encoded;
  try {
    encoded = encoder.encode(row.fields);
  } catch (const runtime::UserError& error) {
    fail_row(where, row.number, error.what());
  }
  CADRE_CHECK(encoded.ids.size() == encoded.labels.size(), encoded.ids.size(), " ids, ", encoded.labels.size(),
              " labels");
  for (const std::int32_t id : encoded.ids)
    if (id < 0 || (limits.vocab_size > 0 && id >= limits.vocab_size))
      fail_row(where, row.number,
               runtime::say("the tokenizer gives the id ", id, ", the model's vocabulary ends at ",
                            limits.vocab_size - 1, ": tokenizer and model do not belong together"));
  if (!encoded.labels.empty()) encoded.labels[0] = kIgnored;
  return encoded;
}

// Threads live for a batch: they take rows from a counter, a few at a time, and end when none are left.
std::vector<Outcome> encode_batch(const RowEncoder& encoder, const std::vector<Row>& rows, const EncodeLimits& limits,
                                  const std::string& where) {
  constexpr std::size_t kRowsAtATime = 16;
  std::vector<Outcome> outcomes(rows.size());
  std::atomic<std::size_t> taken = 0;
  const auto work = [&] {
    while (true) {
      const std::size_t begin = taken.fetch_add(kRowsAtATime);
      if (begin >= rows.size()) return;
      for (std::size_t i = begin; i < std::min(rows.size(), begin + kRowsAtATime); ++i) {
        try {
          outcomes[i].row = encode_one(encoder, rows[i], limits, where);
        } catch (...) {
          outcomes[i].failed = std::current_exception();
        }
      }
    }
  };
  const std::size_t useful = (rows.size() + kRowsAtATime - 1) / kRowsAtATime;
  std::vector<std::jthread> helpers;
  for (std::size_t i = 1; i < std::min(static_cast<std::size_t>(std::max(limits.threads, 1)), useful); ++i)
    helpers.emplace_back(work);
  work();
  helpers.clear();  // joins
  return outcomes;
}

void append(EncodedRow& row, std::uint64_t number, const EncodeLimits& limits, const std::string& where,
            Dataset& dataset, EncodeCounts& counts) {
  PrepareReport& report = counts.report;
  ++report.rows_read;
  if (row.turn_end_missing) ++counts.turn_end_missing;
  const auto longest = static_cast<std::size_t>(limits.longest);
  const bool too_long = row.ids.size() > longest;
  if (too_long && limits.excess == ExcessLength::kRaise)
    fail_row(where, number,
             runtime::say("the row has ", row.ids.size(), " tokens, ", limits.longest_is, " is ", limits.longest,
                          "; shorten the row, raise ", limits.longest_is,
                          ", or set excess_length_strategy to drop or truncate"));
  if (too_long && limits.excess == ExcessLength::kDrop) {
    ++report.dropped_too_long;
    return;
  }
  if (too_long) {
    row.ids.resize(longest);
    row.labels.resize(longest);
  }
  const auto trained =
      std::count_if(row.labels.begin(), row.labels.end(), [](auto label) { return label != kIgnored; });
  if (trained == 0) {
    ++report.dropped_untrained;
    return;
  }
  if (too_long) ++report.truncated;
  ++report.rows_kept;
  report.tokens += row.ids.size();
  report.trained_tokens += static_cast<std::uint64_t>(trained);
  dataset.input_ids.insert(dataset.input_ids.end(), row.ids.begin(), row.ids.end());
  dataset.labels.insert(dataset.labels.end(), row.labels.begin(), row.labels.end());
  dataset.offsets.push_back(dataset.input_ids.size());
}

}  // namespace

EncodeCounts encode_rows(RowReader& rows, const RowEncoder& encoder, const EncodeLimits& limits,
                         const std::string& where, Dataset& dataset) {
  CADRE_CHECK(limits.longest > 0 && limits.skip >= 0 && limits.take >= 0, "longest = ", limits.longest,
              ", skip = ", limits.skip, ", take = ", limits.take);
  Row skipped;
  for (std::int64_t i = 0; i < limits.skip; ++i)
    if (!rows.next(skipped)) return {};
  std::uint64_t left = limits.take > 0 ? static_cast<std::uint64_t>(limits.take) : ~std::uint64_t{0};
  EncodeCounts counts;
  while (left > 0) {
    limits.check();
    const Batch batch = read_batch(rows, left);
    left -= batch.rows.size();
    std::vector<Outcome> outcomes = encode_batch(encoder, batch.rows, limits, where);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (outcomes[i].failed) std::rethrow_exception(outcomes[i].failed);
      append(outcomes[i].row, batch.rows[i].number, limits, where, dataset, counts);
    }
    if (batch.reader_failed) std::rethrow_exception(batch.reader_failed);
    if (batch.ended) break;
  }
  return counts;
}

}  // namespace cadre::data
