#include "runtime/authentication.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <cstring>

#include "runtime/error.h"

namespace cadre::runtime {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Key random_bytes() {
  Key bytes{};
  CADRE_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "no random bytes to be had");
  return bytes;
}

Key hmac_sha256(std::string_view key, std::string_view text) {
  Key result{};
  unsigned size = 0;
  CADRE_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(), result.data(),
                   &size) != nullptr &&
                  size == result.size(),
              "size = ", size);
  return result;
}

Key hmac_sha256(const Key& key, std::string_view text) {
  return hmac_sha256(std::string_view(reinterpret_cast<const char*>(key.data()), key.size()), text);
}

bool same(std::span<const unsigned char> left, std::span<const unsigned char> right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

struct FrameSealer::State {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  std::uint64_t next = 0;
  ~State() { EVP_CIPHER_CTX_free(context); }
};

FrameSealer::FrameSealer(const Key& key) : state_(std::make_unique<State>()) {
  CADRE_CHECK(state_->context != nullptr &&
                  EVP_EncryptInit_ex(state_->context, EVP_aes_256_gcm(), nullptr, key.data(), nullptr) == 1,
              "AES-256-GCM");
}
FrameSealer::~FrameSealer() = default;
FrameSealer::FrameSealer(FrameSealer&&) noexcept = default;
FrameSealer& FrameSealer::operator=(FrameSealer&&) noexcept = default;

FrameTag FrameSealer::tag(std::string_view header, std::string_view payload) {
  unsigned char nonce[12] = {};
  std::memcpy(nonce, &state_->next, sizeof state_->next);
  ++state_->next;
  FrameTag tag{};
  int size = 0;
  EVP_CIPHER_CTX* const context = state_->context;
  bool good = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce) == 1 &&
              EVP_EncryptUpdate(context, nullptr, &size, bytes_of(header), static_cast<int>(header.size())) == 1;
  if (!payload.empty()) {
    good = good && EVP_EncryptUpdate(context, nullptr, &size, bytes_of(payload), static_cast<int>(payload.size())) == 1;
  }
  good = good && EVP_EncryptFinal_ex(context, tag.data(), &size) == 1 &&
         EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1;
  CADRE_CHECK(good, "payload.size() = ", payload.size());
  return tag;
}

}  // namespace cadre::runtime
