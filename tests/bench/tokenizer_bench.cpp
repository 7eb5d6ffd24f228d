// How fast texts are tokenized on one thread: MB for each second of the thread's CPU time, which other load on the
// machine disturbs least; the median of several passes. Run beside tokenizer_peer.py.
//
//   tokenizer_bench FOLDER TEXT_FILE [PASSES]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/tokenizer/tokenizer.h"

namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench FOLDER TEXT_FILE [PASSES]\n");
    return 2;
  }
  const int passes = argc > 3 ? std::max(1, std::atoi(argv[3])) : 7;
  try {
    const double begin_load = cpu_seconds();
    const auto tokenizer = cadre::tokenizer::Tokenizer::load(argv[1]);
    const double load_seconds = cpu_seconds() - begin_load;
    const std::string text = cadre::runtime::read_file(argv[2], std::uint64_t{1} << 32);
    std::vector<std::string_view> lines;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = rest.find('\n');
      lines.push_back(rest.substr(0, end));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    const auto measure = [&](const char* name, const auto& encode) {
      std::vector<double> seconds;
      std::size_t tokens = 0;
      for (int pass = 0; pass < passes; ++pass) {
        tokens = 0;
        const double begin = cpu_seconds();
        for (const std::string_view line : lines) tokens += encode(line);
        seconds.push_back(cpu_seconds() - begin);
      }
      const double first = seconds.front();
      std::sort(seconds.begin(), seconds.end());
      const double mega = static_cast<double>(text.size()) / 1e6;
      std::printf("{\"name\": \"%s\", \"mb_per_second\": %.1f, \"first_pass\": %.1f, \"tokens\": %zu}\n", name,
                  mega / seconds[seconds.size() / 2], mega / first, tokens);
    };
    std::printf("{\"name\": \"load\", \"seconds\": %.3f}\n", load_seconds);
    measure("encode", [&](std::string_view line) { return tokenizer.encode(line, false).size(); });
    measure("encode_with_ranges",
            [&](std::string_view line) { return tokenizer.encode_with_ranges(line, false).ids.size(); });
  } catch (const cadre::runtime::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return 0;
}
