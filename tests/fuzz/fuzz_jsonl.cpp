// Readers of rows against any bytes: the first byte chooses the format. Only a UserError of one line may come out.
#include <boost/json/serialize.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/error.h"
#include "trainer/data/row_reader.h"
#include "trainer/data/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using cadre::data::FileFormat;
  if (size == 0) return 0;
  constexpr FileFormat kFormats[] = {FileFormat::kJsonl, FileFormat::kJson, FileFormat::kCsv};
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    const auto rows = cadre::data::read_rows(text, kFormats[data[0] % 3], "input");
    cadre::data::Row row;
    std::uint64_t last = 0;
    while (rows->next(row)) {
      if (row.number <= last || row.bytes > size) std::abort();
      last = row.number;
      if (!cadre::data::is_utf8(boost::json::serialize(row.fields))) std::abort();
    }
  } catch (const cadre::runtime::UserError& error) {
    const std::string_view message = error.what();
    if (!message.starts_with("input:") || message.find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
