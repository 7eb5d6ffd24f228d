// JSON Lines as a run writes them: one object a line. A process may die at any byte of a write, so readers take the
// whole lines and say what follows them, and a writer first cuts a torn tail away.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cadre::runtime {

// Longer lines are not written, and end a reading.
inline constexpr std::size_t kMaxJsonLineBytes = std::size_t{64} << 20;

// Where a line must have got to before write() returns: to the kernel outlives the process, to the disk the machine.
enum class Durability { kKernel, kDisk };

// One writer a file: the run's folder is locked. Used by one thread at a time.
class JsonLinesWriter {
 public:
  // Creates the file, or goes on after its last whole line. RunError when it cannot be opened for writing.
  explicit JsonLinesWriter(std::filesystem::path path, Durability durability = Durability::kKernel);
  JsonLinesWriter(JsonLinesWriter&& other) noexcept;
  JsonLinesWriter& operator=(JsonLinesWriter&& other) noexcept;
  ~JsonLinesWriter();

  // Appends one line with one write(2). RunError when the disk refuses; the file then ends at the line before.
  void write(const boost::json::object& line);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Durability durability_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

// Calls `visit` for each line in order until it returns false. Returns why the reading ended before the end of the
// file, empty when it did not: "line 7: cut off after 12 bytes", "line 3: not a JSON object: …". UserError when the
// file cannot be read.
std::string visit_json_lines(const std::filesystem::path& path,
                             const std::function<bool(boost::json::object&& line)>& visit);

struct JsonLines {
  std::vector<boost::json::object> lines;
  std::string problem;  // as visit_json_lines returns it
};

JsonLines read_json_lines(const std::filesystem::path& path);

// The last `count` whole lines, oldest first, read from the end of the file; lines that are no JSON object are left
// out. An absent file has none.
std::vector<boost::json::object> last_json_lines(const std::filesystem::path& path, std::size_t count);

// Cuts the file before the first line for which `drop` is true, and what cannot be read away: a run that resumes from
// step 100 forgets what it wrote about later steps. Durable on return. Returns the number of whole lines that were cut;
// an absent file has none. RunError when the disk refuses.
std::size_t cut_json_lines(const std::filesystem::path& path,
                           const std::function<bool(const boost::json::object& line)>& drop);

}  // namespace cadre::runtime
