#include "trainer/data/chat_labels.h"

#include <algorithm>
#include <optional>

#include "runtime/error.h"
#include "trainer/data/dataset.h"

namespace cadre::data {
namespace {

// A token that ends a turn stands right behind its text (axolotl allows three for what the template puts between).
constexpr std::size_t kTokensToTurnEnd = 4;

// Bytes [begin, end) that a message took, and its marker at [end, marker_end).
struct Part {
  std::size_t begin = 0, end = 0, marker_end = 0;
};

class Labeller {
 public:
  Labeller(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns, const tokenizer::Encoding& tokens,
           const ChatLabelOptions& options)
      : rendered_(rendered), turns_(turns), tokens_(tokens), options_(options), states_(tokens.ids.size()) {}

  ChatLabels run() {
    ChatLabels out;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      states_[i].text = options_.train_on_inputs;
      states_[i].ends_turn = options_.is_turn_end(tokens_.ids[i]);
      states_[i].ends_trained = options_.train_on_inputs && states_[i].ends_turn;
    }
    for (std::size_t message = 0; message < turns_.size(); ++message) {
      const ChatTurn& turn = turns_[message];
      const bool train = turn.trained && !options_.train_on_inputs;  // else it is already
      if (!train && !(turn.excluded && options_.train_on_inputs)) continue;
      for (const Part& part : parts_of(message))
        if (!mark(part, train) && train) out.turn_end_missing = true;
    }
    out.labels.resize(states_.size(), kIgnored);
    const auto last = last_turn_end();
    for (std::size_t i = 1; i < states_.size(); ++i)
      if (is_trained(states_[i], i == last)) out.labels[i] = tokens_.ids[i];
    return out;
  }

 private:
  struct State {
    bool text = false;          // inside a trained part
    bool ends_turn = false;     // then train_on_eos decides, not `text`
    bool ends_trained = false;  // it ends a trained turn
  };

  bool is_trained(const State& state, bool last) const {
    if (!state.ends_turn) return state.text;
    switch (options_.train_on_eos) {
      case TrainOnEos::kTurn:
        return state.ends_trained;
      case TrainOnEos::kAll:
        return true;
      case TrainOnEos::kLast:
        return last;
      case TrainOnEos::kNone:
        break;
    }
    return false;
  }

  std::size_t last_turn_end() const {
    for (std::size_t i = states_.size(); i > 0; --i)
      if (states_[i - 1].ends_turn) return i - 1;
    return states_.size();
  }

  std::vector<Part> parts_of(std::size_t message) const {
    std::vector<Part> parts;
    for (const auto& turn : rendered_.turns)
      if (turn.message == message) parts.push_back({turn.begin, turn.marker, turn.end});
    if (!parts.empty()) return parts;
    for (const auto& span : rendered_.spans)
      if (span.message == message && span.begin < span.end) parts.push_back({span.begin, span.end, span.end});
    if (parts.empty() && turns_[message].has_text)
      throw runtime::UserError(runtime::say("message ", message + 1,
                                            " cannot be told in what the chat template printed, so its labels are "
                                            "unknown; mark the answers with {% generation %} in the template"));
    if (parts.size() < 2 || rendered_.from_generation_blocks) return parts;
    Part hull = parts.front();
    for (const Part& part : parts)
      hull = {std::min(hull.begin, part.begin), std::max(hull.end, part.end), std::max(hull.end, part.end)};
    for (const auto& span : rendered_.spans)
      if (span.message != message && span.begin < hull.end && span.end > hull.begin) return parts;
    return {hull};
  }

  // Whether the part has a token that ends it.
  bool mark(const Part& part, bool trained) {
    for (std::size_t i = first_token_at(part.begin); i < states_.size() && tokens_.ranges[i].begin < part.end; ++i)
      states_[i].text = trained;
    bool ended = false;
    for (std::size_t i = first_token_at(part.end); i < states_.size() && tokens_.ranges[i].begin < part.marker_end;
         ++i) {
      if (tokens_.ranges[i].begin < part.end) continue;  // text first: it holds bytes of both
      states_[i].ends_turn = true;
      states_[i].ends_trained = trained;
      ended = true;
    }
    // A block of the template may hold the token that ends the turn, or end before it.
    for (std::size_t i = first_token_at(part.begin); !ended && i < states_.size() && tokens_.ranges[i].begin < part.end;
         ++i)
      if (states_[i].ends_turn && rendered_.from_generation_blocks) {
        states_[i].ends_trained = trained;
        ended = true;
      }
    if (!ended) {
      if (const auto end = turn_end_after(part.marker_end)) {
        states_[*end].ends_trained = trained;
        ended = true;
      }
    }
    return ended;
  }

  // The first token that ends past `byte`.
  std::size_t first_token_at(std::size_t byte) const {
    const auto at = std::partition_point(tokens_.ranges.begin(), tokens_.ranges.end(),
                                         [&](const auto& range) { return range.end <= byte; });
    return static_cast<std::size_t>(at - tokens_.ranges.begin());
  }

  // Known by its id, and before any other message's text.
  std::optional<std::size_t> turn_end_after(std::size_t byte) const {
    std::size_t limit = rendered_.text.size();
    for (const auto& span : rendered_.spans)
      if (span.begin >= byte) limit = std::min(limit, span.begin);
    for (const auto& turn : rendered_.turns)
      if (turn.begin >= byte) limit = std::min(limit, turn.begin);
    const std::size_t first = first_token_at(byte);
    for (std::size_t i = first; i < std::min(states_.size(), first + kTokensToTurnEnd); ++i) {
      if (tokens_.ranges[i].begin >= limit) break;
      if (options_.is_turn_end(tokens_.ids[i])) return i;
    }
    return std::nullopt;
  }

  const chat::Rendered& rendered_;
  const std::vector<ChatTurn>& turns_;
  const tokenizer::Encoding& tokens_;
  const ChatLabelOptions& options_;
  std::vector<State> states_;
};

}  // namespace

ChatLabels label_chat(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns,
                      const tokenizer::Encoding& tokens, const ChatLabelOptions& options) {
  CADRE_CHECK(tokens.ids.size() == tokens.ranges.size(), tokens.ids.size(), " ids, ", tokens.ranges.size(), " ranges");
  return Labeller(rendered, turns, tokens, options).run();
}

}  // namespace cadre::data
