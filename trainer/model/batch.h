// One micro-batch as the model sees it: documents one after the other, without padding.
#pragma once

#include <cstdint>
#include <vector>

namespace cadre::model {

// Row t of every activation belongs to token t. A document attends only to itself; its positions start at 0.
struct Batch {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> offsets{0};  // documents + 1
  // What is trained: the hidden state of row target_rows[i] predicts the id targets[i].
  std::vector<std::int64_t> target_rows, targets;

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t documents() const { return static_cast<std::int64_t>(offsets.size()) - 1; }

  // Appends a document. labels[i] is the id at i where it is trained, −100 where not; the first is never a target.
  template <typename Ids, typename Labels>
  void append(const Ids& document_ids, const Labels& labels) {
    const std::int64_t begin = tokens();
    for (std::size_t i = 0; i < document_ids.size(); ++i) {
      ids.push_back(document_ids[i]);
      if (i > 0 && labels[i] >= 0) {
        target_rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
        targets.push_back(labels[i]);
      }
    }
    offsets.push_back(tokens());
  }
};

}  // namespace cadre::model
