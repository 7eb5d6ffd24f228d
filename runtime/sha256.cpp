#include "runtime/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/error.h"
#include "runtime/hex.h"

namespace cadre::runtime {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  CADRE_CHECK(state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1, "");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  CADRE_CHECK(state_ != nullptr && EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "");
  return *this;
}

Sha256& Sha256::update(std::string_view text) {
  return update(std::as_bytes(std::span(text)));
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  CADRE_CHECK(state_ != nullptr && EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1, "");
  state_.reset();
  return hex_of(digest);
}

std::string sha256_hex(std::string_view text) {
  return Sha256().update(text).hex();
}

// By read(2), not through a map: a file that is cut meanwhile must be an error, not a signal.
std::string sha256_of_file(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& why) { throw UserError(say(path.string(), ": cannot be read: ", why)); };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) fail(std::strerror(errno));
  struct stat info = {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(file);
    fail("it is not a file");
  }
  Sha256 hash;
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (;;) {
    const ssize_t got = ::read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const std::string why = std::strerror(errno);
      ::close(file);
      fail(why);
    }
    if (got == 0) break;
    hash.update(std::span(buffer).first(static_cast<std::size_t>(got)));
  }
  ::close(file);
  return hash.hex();
}

}  // namespace cadre::runtime
