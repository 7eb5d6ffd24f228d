#include "trainer/data/chat_labels.h"

#include <algorithm>
#include <optional>

#include "runtime/error.h"
#include "trainer/data/dataset.h"

namespace cadre::data {
namespace {

// A turn's end stands right behind its text; farther away it is another's.
constexpr std::size_t kTokensToTurnEnd = 16;

struct Region {
  std::size_t begin = 0, end = 0;
};

bool overlaps(const tokenizer::ByteRange& token, const Region& region) {
  return token.begin < region.end && token.end > region.begin && token.begin < token.end;
}

class Labeller {
 public:
  Labeller(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns, const tokenizer::Encoding& tokens,
           const ChatLabelOptions& options)
      : rendered_(rendered), turns_(turns), tokens_(tokens), options_(options), trained_(tokens.ids.size()) {}

  ChatLabels run() {
    if (options_.train_on_inputs) {
      std::fill(trained_.begin(), trained_.end(), true);
      for (std::size_t message = 0; message < turns_.size(); ++message)
        if (turns_[message].excluded) exclude(message);
    } else {
      for (std::size_t message = 0; message < turns_.size(); ++message)
        if (turns_[message].trained)
          for (const Region& region : regions_of(message)) train(region);
    }
    settle_turn_ends();
    ChatLabels out;
    out.turn_end_missing = turn_end_missing_;
    out.labels.resize(trained_.size(), kIgnored);
    for (std::size_t i = 1; i < trained_.size(); ++i)
      if (trained_[i]) out.labels[i] = tokens_.ids[i];
    return out;
  }

 private:
  // Where the message is in the output: one region from its first to its last byte, or its spans one by one where
  // another message stands in between or the template marks them itself.
  std::vector<Region> regions_of(std::size_t message) const {
    std::vector<Region> spans;
    for (const auto& span : rendered_.spans)
      if (span.message == message && span.begin < span.end) spans.push_back({span.begin, span.end});
    if (spans.empty()) {
      if (turns_[message].has_text)
        throw runtime::UserError(runtime::say("message ", message + 1,
                                              " cannot be told in what the chat template printed, so its labels are "
                                              "unknown; mark the answers with {% generation %} in the template"));
      return {};
    }
    std::sort(spans.begin(), spans.end(), [](const Region& a, const Region& b) { return a.begin < b.begin; });
    if (rendered_.from_generation_blocks) return spans;
    const Region hull{spans.front().begin, std::max_element(spans.begin(), spans.end(), [](auto& a, auto& b) {
                                             return a.end < b.end;
                                           })->end};
    for (const auto& span : rendered_.spans)
      if (span.message != message && span.begin < hull.end && span.end > hull.begin) return spans;
    return {hull};
  }

  void set(const Region& region, bool value) {
    for (std::size_t i = first_token_at(region.begin); i < tokens_.ids.size() && tokens_.ranges[i].begin < region.end;
         ++i)
      if (overlaps(tokens_.ranges[i], region)) trained_[i] = value;
  }

  void exclude(std::size_t message) {
    const auto regions = regions_of(message);
    for (const Region& region : regions) set(region, false);
    if (regions.empty()) return;
    if (const auto end = turn_end_after(regions.back().end)) trained_[*end] = false;
  }

  void train(Region region) {
    std::optional<std::size_t> end;
    if (rendered_.from_generation_blocks) end = turn_end_inside(region);
    if (!end) end = turn_end_after(region.end);
    if (!rendered_.from_generation_blocks) {
      region.begin = begin_of_turn(region.begin);
      if (end) region.end = tokens_.ranges[*end].begin;
    }
    set(region, true);
    if (end)
      ends_of_trained_.push_back(*end);
    else
      turn_end_missing_ = true;
  }

  // The first token that ends past `byte`.
  std::size_t first_token_at(std::size_t byte) const {
    const auto at = std::partition_point(tokens_.ranges.begin(), tokens_.ranges.end(),
                                         [&](const auto& range) { return range.end <= byte; });
    return static_cast<std::size_t>(at - tokens_.ranges.begin());
  }

  // Behind the generation prompt that stands between the message before and `begin`; else `begin`.
  std::size_t begin_of_turn(std::size_t begin) const {
    const std::string_view prompt = options_.generation_prompt;
    if (prompt.empty() || begin < prompt.size()) return begin;
    const std::size_t at = std::string_view(rendered_.text).rfind(prompt, begin - prompt.size());
    if (at == std::string_view::npos) return begin;
    for (const auto& span : rendered_.spans)
      if (span.end > at && span.end <= begin && span.begin < span.end) return begin;
    return at + prompt.size();
  }

  std::optional<std::size_t> turn_end_inside(const Region& region) const {
    std::optional<std::size_t> found;
    for (std::size_t i = first_token_at(region.begin); i < tokens_.ids.size() && tokens_.ranges[i].begin < region.end;
         ++i)
      if (options_.is_turn_end(tokens_.ids[i])) found = i;
    return found;
  }

  std::optional<std::size_t> turn_end_after(std::size_t byte) const {
    std::size_t limit = rendered_.text.size();
    for (const auto& span : rendered_.spans)
      if (span.begin >= byte) limit = std::min(limit, span.begin);
    if (!options_.generation_prompt.empty())
      limit = std::min(limit, rendered_.text.find(options_.generation_prompt, byte));
    const std::size_t first = first_token_at(byte);
    for (std::size_t i = first; i < std::min(tokens_.ids.size(), first + kTokensToTurnEnd); ++i) {
      if (tokens_.ranges[i].begin >= limit) break;
      if (options_.is_turn_end(tokens_.ids[i])) return i;
    }
    return std::nullopt;
  }

  void settle_turn_ends() {
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < tokens_.ids.size(); ++i) {
      if (!options_.is_turn_end(tokens_.ids[i])) continue;
      last = i;
      if (options_.train_on_eos == TrainOnEos::kAll)
        trained_[i] = true;
      else if (options_.train_on_eos != TrainOnEos::kTurn || !options_.train_on_inputs)
        trained_[i] = false;
    }
    if (options_.train_on_eos == TrainOnEos::kTurn)
      for (const std::size_t end : ends_of_trained_) trained_[end] = true;
    if (options_.train_on_eos == TrainOnEos::kLast && last) trained_[*last] = true;
  }

  const chat::Rendered& rendered_;
  const std::vector<ChatTurn>& turns_;
  const tokenizer::Encoding& tokens_;
  const ChatLabelOptions& options_;
  std::vector<bool> trained_;
  std::vector<std::size_t> ends_of_trained_;
  bool turn_end_missing_ = false;
};

}  // namespace

ChatLabels label_chat(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns,
                      const tokenizer::Encoding& tokens, const ChatLabelOptions& options) {
  CADRE_CHECK(tokens.ids.size() == tokens.ranges.size(), tokens.ids.size(), " ids, ", tokens.ranges.size(), " ranges");
  return Labeller(rendered, turns, tokens, options).run();
}

}  // namespace cadre::data
