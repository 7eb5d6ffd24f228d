#include "trainer/chat/turns.h"

#include <algorithm>
#include <map>

namespace cadre::chat {
namespace {

constexpr std::size_t kNone = std::string::npos;

struct Run {
  std::size_t begin = 0, end = 0;
  std::int32_t id = -1;                                                 // of the turn or block
  std::int32_t turn = -1;                                               // of its first byte
  std::map<std::int32_t, std::pair<std::size_t, std::size_t>> content;  // by message: first byte, after the last
  std::map<std::int32_t, std::size_t> bytes;                            // by message: how many
};

// Neighbouring segments with the same turn (or generation block).
std::vector<Run> runs_of(const Text& text, std::int32_t Origin::*id) {
  std::vector<Run> runs;
  std::size_t at = 0;
  for (const Segment& segment : text.segments()) {
    const std::size_t end = at + segment.length;
    const std::int32_t run_id = segment.origin.*id;
    if (run_id >= 0) {
      if (runs.empty() || runs.back().id != run_id || runs.back().end != at) {
        runs.push_back({.begin = at, .end = at, .id = run_id, .turn = segment.origin.turn, .content = {}, .bytes = {}});
      }
      runs.back().end = end;
      if (segment.origin.message >= 0) {
        runs.back().bytes[segment.origin.message] += segment.length;
        const auto [found, added] = runs.back().content.try_emplace(segment.origin.message, at, end);
        if (!added) found->second.second = end;
      }
    }
    at = end;
  }
  return runs;
}

bool names_role(std::string_view literal, std::string_view role) {
  std::string lower(literal);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower.find(role) != kNone || lower.find("model") != kNone || lower.find("response") != kNone;
}

// Where the generation prompt would end that begins at or before `begin`; kNone where it is not there.
std::size_t after_prompt(std::string_view text, std::size_t begin, std::string_view prompt) {
  if (prompt.empty() || prompt.size() > 4096) return kNone;
  std::size_t best = 0, best_end = kNone;
  for (std::size_t before = 0; before <= std::min(begin, prompt.size()); ++before) {
    if (text.substr(begin - before, before) != prompt.substr(0, before)) continue;
    const std::string_view rest = text.substr(begin), wanted = prompt.substr(before);
    const std::size_t same = static_cast<std::size_t>(
        std::mismatch(rest.begin(), rest.end(), wanted.begin(), wanted.end()).first - rest.begin());
    if (before + same <= best) continue;
    best = before + same;
    best_end = begin + same;
  }
  // A part of the prompt is a header only if it tells whose turn it is (the rest may open a thought, say).
  const bool whole = best == prompt.size();
  if (!whole && (!names_role(prompt, "assistant") || !names_role(prompt.substr(0, best), "assistant"))) return kNone;
  return best_end;
}

void find_marker(std::string_view text, std::size_t run_end, const std::string& eos_token, Turn& turn) {
  std::size_t end = run_end;
  while (end > turn.content_end && (text[end - 1] == ' ' || (text[end - 1] >= '\t' && text[end - 1] <= '\r'))) --end;
  turn.end = turn.marker = end;
  const std::string_view literal = text.substr(turn.content_end, end - turn.content_end);
  if (!eos_token.empty() && literal.ends_with(eos_token)) {
    turn.marker = end - eos_token.size();
    return;
  }
  const std::size_t open = literal.ends_with('>')   ? literal.rfind('<')
                           : literal.ends_with(']') ? literal.rfind('[')
                                                    : kNone;
  if (open != kNone) turn.marker = turn.content_end + open;
}

}  // namespace

std::vector<MessageSpan> tracked_spans(const Text& text) {
  std::vector<MessageSpan> spans;
  std::size_t at = 0;
  for (const Segment& segment : text.segments()) {
    const std::size_t end = at + segment.length;
    if (segment.origin.message >= 0) {
      const auto message = static_cast<std::size_t>(segment.origin.message);
      if (!spans.empty() && spans.back().end == at && spans.back().message == message)
        spans.back().end = end;
      else
        spans.push_back({.begin = at, .end = end, .message = message});
    }
    at = end;
  }
  return spans;
}

std::vector<MessageSpan> generation_spans(const Text& text, const std::vector<std::int32_t>& turns) {
  std::vector<MessageSpan> spans;
  for (const Run& run : runs_of(text, &Origin::generation)) {
    std::size_t message = kNoMessage;
    if (run.turn >= 0 && turns[static_cast<std::size_t>(run.turn)] >= 0) {
      message = static_cast<std::size_t>(turns[static_cast<std::size_t>(run.turn)]);
    } else if (!run.bytes.empty()) {
      const auto most = std::max_element(run.bytes.begin(), run.bytes.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      message = static_cast<std::size_t>(most->first);
    }
    spans.push_back({.begin = run.begin, .end = run.end, .message = message});
  }
  return spans;
}

std::vector<Turn> find_turns(const Text& text, const std::vector<std::int32_t>& turns, const TurnOptions& options) {
  std::vector<Turn> out;
  for (const Run& run : runs_of(text, &Origin::turn)) {
    std::int32_t message = turns[static_cast<std::size_t>(run.id)];
    if (message < 0 && run.content.size() == 1) message = run.content.begin()->first;
    if (message < 0) continue;
    const auto found = run.content.find(message);
    const bool has_content = found != run.content.end();
    const std::size_t first = has_content ? found->second.first : kNone;
    Turn turn{.message = static_cast<std::size_t>(message)};
    std::size_t begin = first;
    const std::string& role = options.roles[turn.message];
    if (role == "assistant") {
      const std::string_view prompt = options.generation_prompt ? std::string_view(*options.generation_prompt) : "";
      const std::size_t prompted = after_prompt(text.view(), run.begin, prompt);
      if (prompted != kNone && prompted <= run.end) {
        begin = std::min(prompted, first);
      } else if (prompt.empty()) {
        const std::string_view header = text.view().substr(run.begin, std::min(first, run.end) - run.begin);
        if (!names_role(header, role)) begin = run.begin;
      }
    }
    if (begin == kNone) continue;
    turn.begin = begin;
    turn.content_end = has_content ? std::max(begin, found->second.second) : begin;
    find_marker(text.view(), run.end, options.eos_token, turn);
    out.push_back(turn);
  }
  return out;
}

std::vector<Turn> generation_turns(const Text& text, const std::vector<MessageSpan>& spans,
                                   const std::string& eos_token) {
  const std::vector<Run> runs = runs_of(text, &Origin::generation);
  std::vector<Turn> out;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].message == kNoMessage) continue;
    Turn turn{.message = spans[i].message, .begin = spans[i].begin, .content_end = spans[i].begin};
    const auto found = runs[i].content.find(static_cast<std::int32_t>(spans[i].message));
    if (found != runs[i].content.end()) turn.content_end = found->second.second;
    find_marker(text.view(), spans[i].end, eos_token, turn);
    turn.end = std::max(turn.end, spans[i].end);
    out.push_back(turn);
  }
  return out;
}

}  // namespace cadre::chat
