// Rows that somebody else tokenized: input_ids, and labels where not all is trained.

#include <boost/json/kind.hpp>
#include <limits>

#include "runtime/error.h"
#include "trainer/data/dataset.h"
#include "trainer/data/row_encoder.h"
#include "trainer/data/row_fields.h"

namespace cadre::data {
namespace {

class TokenizedEncoder final : public RowEncoder {
 public:
  explicit TokenizedEncoder(const EncoderOptions& options) : vocab_size_(options.vocab_size) {}

  EncodedRow encode(const boost::json::object& fields) const override {
    EncodedRow row;
    const auto ids = required_array(fields, "input_ids");
    const std::int64_t end = vocab_size_ > 0 ? vocab_size_ : std::numeric_limits<std::int32_t>::max();
    row.ids.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::int64_t id = integer(ids[i], "input_ids", i);
      if (id < 0 || id >= end)
        throw runtime::UserError(runtime::say("input_ids[", i, "]: expected an id from 0 to ", end - 1,
                                              " (the model's vocabulary), found ", id));
      row.ids.push_back(static_cast<std::int32_t>(id));
    }
    check_mask(fields, ids.size());
    const auto labels = optional_array(fields, "labels");
    if (labels.is_null()) {
      row.labels = row.ids;
      return row;
    }
    if (labels.get_array().size() != ids.size())
      throw runtime::UserError(
          runtime::say("expected as many labels as input_ids, found ", labels.get_array().size(), " and ", ids.size()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::int64_t label = integer(labels.get_array()[i], "labels", i);
      if (label != kIgnored && label != row.ids[i])
        throw runtime::UserError(runtime::say("labels[", i, "]: expected ", row.ids[i],
                                              " as in input_ids (labels are "
                                              "not shifted), or ",
                                              kIgnored, " for a token that is not trained, found ", label));
      row.labels.push_back(static_cast<std::int32_t>(label));
    }
    return row;
  }

 private:
  static std::int64_t integer(const boost::json::value& value, std::string_view field, std::size_t index) {
    if (const auto* number = value.if_int64()) return *number;
    throw runtime::UserError(runtime::say(field, "[", index, "]: expected an integer, found ",
                                          value.is_number() ? "another number" : boost::json::to_string(value.kind())));
  }

  // Padding would be trained on as if it were text.
  static void check_mask(const boost::json::object& fields, std::size_t count) {
    const auto mask = optional_array(fields, "attention_mask");
    if (mask.is_null()) return;
    if (mask.get_array().size() != count)
      throw runtime::UserError("expected as long an attention_mask as input_ids, found another length");
    for (const auto& one : mask.get_array())
      if (!one.is_int64() || one.get_int64() != 1)
        throw runtime::UserError(
            "attention_mask: expected ones only, found something else; write rows without padding");
  }

  std::int64_t vocab_size_;
};

}  // namespace

std::unique_ptr<RowEncoder> make_tokenized_encoder(const EncoderOptions& options) {
  return std::make_unique<TokenizedEncoder>(options);
}

}  // namespace cadre::data
