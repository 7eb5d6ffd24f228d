#include "runtime/shared_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/authentication.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/hex.h"

namespace cadre::runtime {
namespace {

constexpr std::string_view kPrefix = ".shared-by-";
constexpr std::size_t kProofDigits = 32;

bool is_proof(std::string_view text) {
  return text.size() == kProofDigits && text.find_first_not_of(kHexDigits) == text.npos;
}

std::filesystem::path path_of(const std::filesystem::path& folder, std::string_view proof) {
  return folder / (std::string(kPrefix) + std::string(proof));
}

std::string content_of(const std::string& token, const std::string& proof) {
  return hex_of(hmac_sha256(token, "shares the folder " + proof));
}

}  // namespace

std::string leave_folder_proof(const std::filesystem::path& folder, const std::string& token) {
  const Key random = random_bytes();
  const std::string proof = hex_of(std::span(random).first(kProofDigits / 2)), content = content_of(token, proof);
  const std::filesystem::path path = path_of(folder, proof);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) return {};
  bool written = ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  // Closing makes it seen by others, on a network's file system too.
  written = ::close(file) == 0 && written;
  if (written) return proof;
  remove_folder_proof(folder, proof);
  return {};
}

bool find_folder_proof(const std::filesystem::path& folder, const std::string& token, const std::string& proof) {
  if (!is_proof(proof)) return false;
  const std::string content = content_of(token, proof);
  try {
    return read_file(path_of(folder, proof), content.size()) == content;
  } catch (const UserError&) {
    return false;
  }
}

void remove_folder_proof(const std::filesystem::path& folder, const std::string& proof) noexcept {
  std::error_code ignored;
  if (is_proof(proof)) std::filesystem::remove(path_of(folder, proof), ignored);
}

void remove_folder_proofs(const std::filesystem::path& folder) noexcept {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kPrefix)) remove_folder_proof(folder, name.substr(kPrefix.size()));
  }
}

}  // namespace cadre::runtime
