#include "launch/island.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace cadre::launch {
namespace {

// With --enable-recovery mpirun says nothing of a rank that was killed, or whose executable is missing, before the end
// of MPI_Init, and the others wait in it for ever. So a shell watches each rank and says how it ended. It needs
// nothing of ours, and so also speaks for a library that is missing. The rank ends with it (end_with_watcher).
constexpr char kWatch[] =
    "CADRE_WATCHER=$$ \"$0\" \"$@\"; code=$?; printf '\\ncadre-rank-ended %d\\n' $code >&2; exit 0";

constexpr std::size_t kLongestTag = 40;  // [65535,4294967295]<stdout>: and some

struct Tag {
  std::size_t length = 0;
  TaggedOutput::Piece source = {};
};

// A tag at the start of `text`; nothing when there is none. `is_open` when more bytes could make one.
std::optional<Tag> tag_at_start(std::string_view text, bool& is_open) {
  is_open = false;
  std::size_t at = 0;
  const auto literal = [&](std::string_view expected) {
    const std::size_t same = std::min(expected.size(), text.size() - at);
    if (text.substr(at, same) != expected.substr(0, same)) return false;
    at += same;
    is_open = same < expected.size();
    return !is_open;
  };
  const auto number = [&](std::uint32_t& value) {
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    is_open = at == text.size() || end == text.data() + text.size();
    if (error != std::errc()) {
      is_open = at == text.size();
      return false;
    }
    at = static_cast<std::size_t>(end - text.data());
    return !is_open;
  };
  std::uint32_t job = 0;
  Tag tag;
  if (!literal("[") || !number(job) || !literal(",") || !number(tag.source.rank) || !literal("]<std")) return {};
  const std::size_t before = at;
  if (literal("out>:")) {
    tag.source.is_stdout = true;
  } else {
    const bool may_be_out = is_open;
    at = before;
    if (!literal("err>:")) {
      is_open = is_open || may_be_out;
      return {};
    }
  }
  tag.length = at;
  return tag;
}

}  // namespace

std::vector<std::string> island_command_line(const IslandCommand& island) {
  std::vector<std::string> words = {"mpirun", "-n", std::to_string(island.ranks)};
  const auto parameter = [&](const char* name, const std::string& value) {
    words.insert(words.end(), {"--mca", name, value});
  };
  if (island.is_root) words.push_back("--allow-run-as-root");
  words.push_back("--enable-recovery");              // the others outlive a killed rank
  words.push_back("--oversubscribe");                // how many ranks a machine bears is the user's word
  words.insert(words.end(), {"--bind-to", "none"});  // two islands of one host would both take core 0
  words.push_back("--tag-output");
  // MPI carries one broadcast between processes of one host: plain TCP on loopback leaves nothing in /dev/shm when a
  // rank is killed, and looks for no fabric.
  parameter("pml", "ob1");
  parameter("btl", "self,tcp");
  parameter("btl_tcp_if_include", "lo");
  if (!island.scratch.empty()) parameter("orte_tmpdir_base", island.scratch);
  if (island.host.empty()) {
    parameter("plm", "isolated");  // no remote shell, and no look at an allocation that this machine may be in
    parameter("ras", "^slurm,gridengine,tm,alps,loadleveler");
    parameter("oob_tcp_if_include", "lo");
  } else {
    words.insert(words.end(), {"--host", island.host + ":" + std::to_string(island.ranks)});
    for (const std::string& name : island.variables) words.insert(words.end(), {"-x", name});
  }
  words.insert(words.end(), {"/bin/sh", "-c", kWatch});
  words.insert(words.end(), island.rank_command.begin(), island.rank_command.end());
  return words;
}

std::vector<TaggedOutput::Piece> TaggedOutput::take(std::string_view bytes) {
  held_ += bytes;
  std::vector<Piece> pieces;
  const auto add = [&](std::string_view text) {
    if (text.empty()) return;
    pieces.push_back(source_);
    pieces.back().text = text;
  };
  const std::string_view text = held_;
  std::size_t begin = 0, at = 0;
  while (at < text.size()) {
    if (text[at] == '[') {
      bool is_open = false;
      const auto tag = tag_at_start(text.substr(at), is_open);
      if (is_open && text.size() - at < kLongestTag) break;
      if (tag) {
        add(text.substr(begin, at - begin));
        source_ = tag->source;
        begin = at += tag->length;
        continue;
      }
    }
    // After a line's end it is mpirun that speaks, unless a tag follows.
    if (text[at++] == '\n') {
      add(text.substr(begin, at - begin));
      begin = at;
      source_ = {};
    }
  }
  add(text.substr(begin, at - begin));
  held_.erase(0, at);
  return pieces;
}

std::vector<TaggedOutput::Piece> TaggedOutput::finish() {
  std::vector<Piece> pieces;
  if (!held_.empty()) {
    pieces.push_back(source_);
    pieces.back().text = std::exchange(held_, {});
  }
  source_ = {};
  return pieces;
}

}  // namespace cadre::launch
