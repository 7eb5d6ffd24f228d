#include "trainer/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/kernels/elementary.h"
#include "trainer/kernels/first_exception.h"
#include "trainer/kernels/tile_product.h"

namespace cadre::kernels {
namespace {

constexpr std::int64_t kKeyTile = 64;    // keys in a tile
constexpr std::int64_t kQueryRows = 64;  // rows in a query tile: the heads of a group stacked over the queries

std::int64_t padded(std::int64_t n) {
  return (n + kTileColumns - 1) / kTileColumns * kTileColumns;
}

// The work of one thread at a time: one document's queries of the heads that share one key-value head.
struct Group {
  const AttentionShape& shape;
  AttentionDocument document;
  std::int64_t kv_head;

  std::int64_t heads() const { return shape.heads / shape.kv_heads; }
  std::int64_t queries_per_tile() const { return std::max<std::int64_t>(1, kQueryRows / heads()); }
  std::int64_t offset() const { return document.k_rows - document.q_rows; }  // key index of query 0
  // Keys that queries [first, last] may see, the lower end aligned to a tile.
  std::int64_t key_begin(std::int64_t first) const {
    if (shape.window == 0) return 0;
    return std::max<std::int64_t>(0, first + offset() - shape.window + 1) / kKeyTile * kKeyTile;
  }
  std::int64_t key_end(std::int64_t last) const { return last + offset() + 1; }
};

// Row (g, i) of a packed tile is head g of the group at query first + i: [heads · queries, width] in fp32.
template <typename T>
void pack_queries(const Group& group, const T* x, std::int64_t row_stride, std::int64_t first, std::int64_t queries,
                  float scale, float* tile, std::int64_t width) {
  const std::int64_t dim = group.shape.head_dim;
  for (std::int64_t g = 0; g < group.heads(); ++g) {
    for (std::int64_t i = 0; i < queries; ++i) {
      const T* row = x + (group.document.q_begin + first + i) * row_stride + (group.kv_head * group.heads() + g) * dim;
      float* out = tile + (g * queries + i) * width;
      for (std::int64_t d = 0; d < dim; ++d) out[d] = to_float(row[d]) * scale;
      std::fill(out + dim, out + width, 0.0f);
    }
  }
}

// Keys [first, first + keys) as they lie, and transposed; rows and columns beyond are zero.
template <typename T>
void pack_keys(const Group& group, const T* x, std::int64_t first, std::int64_t keys, float* tile, std::int64_t width) {
  const std::int64_t dim = group.shape.head_dim;
  for (std::int64_t j = 0; j < kKeyTile; ++j) {
    float* out = tile + j * width;
    if (j >= keys) {
      std::fill(out, out + width, 0.0f);
      continue;
    }
    const T* row = x + (group.document.k_begin + first + j) * group.shape.kv_stride + group.kv_head * dim;
    for (std::int64_t d = 0; d < dim; ++d) out[d] = to_float(row[d]);
    std::fill(out + dim, out + width, 0.0f);
  }
}

void transpose(const float* tile, std::int64_t width, std::int64_t dim, float* transposed) {
  for (std::int64_t d = 0; d < dim; ++d) {
    for (std::int64_t j = 0; j < kKeyTile; ++j) transposed[d * kKeyTile + j] = tile[j * width + d];
  }
}

// Scores of `rows` packed queries against a transposed key tile, softcapped, −inf where the query does not see the key.
// `slope` (may be null) receives the softcap's derivative.
void score_tile(const Group& group, const float* queries, std::int64_t per_head, std::int64_t first_query,
                std::int64_t first_key, std::int64_t keys, const float* keys_transposed, std::int64_t width,
                float* scores, float* slope) {
  const std::int64_t rows = group.heads() * per_head;
  const std::int64_t columns = padded(keys);
  for (std::int64_t r = 0; r < rows; ++r) std::fill(scores + r * kKeyTile, scores + r * kKeyTile + columns, 0.0f);
  tile_product(rows, columns, group.shape.head_dim, queries, width, 1, keys_transposed, kKeyTile, scores, kKeyTile);
  if (group.shape.softcap > 0) {
    const float cap = group.shape.softcap;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t j = 0; j < columns; ++j) {
        const float t = tanh_fp32(scores[r * kKeyTile + j] / cap);
        scores[r * kKeyTile + j] = cap * t;
        if (slope != nullptr) slope[r * kKeyTile + j] = 1.0f - t * t;
      }
    }
  }
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t query = first_query + r % per_head;
    // Visible keys of a query are one run: [low, high) inside this tile.
    const std::int64_t position = query + group.offset();
    const std::int64_t high = std::clamp<std::int64_t>(position + 1 - first_key, 0, keys);
    const std::int64_t low =
        group.shape.window == 0 ? 0 : std::clamp<std::int64_t>(position - group.shape.window + 1 - first_key, 0, high);
    std::fill(scores + r * kKeyTile, scores + r * kKeyTile + low, kHidden);
    std::fill(scores + r * kKeyTile + high, scores + r * kKeyTile + columns, kHidden);
  }
}

template <typename T>
void forward_group(const Group& group, const T* q, const T* k, const T* v, T* out, float* log_sum_exp) {
  const AttentionShape& shape = group.shape;
  const std::int64_t dim = shape.head_dim, width = padded(dim), per_tile = group.queries_per_tile();
  const std::int64_t max_rows = group.heads() * per_tile;
  std::vector<float> queries(max_rows * width), acc(max_rows * width), scores(max_rows * kKeyTile);
  std::vector<float> key_tile(kKeyTile * width), keys_transposed(dim * kKeyTile), value_tile(kKeyTile * width);
  std::vector<float> row_max(max_rows), row_sum(max_rows);

  for (std::int64_t first = 0; first < group.document.q_rows; first += per_tile) {
    const std::int64_t count = std::min(per_tile, group.document.q_rows - first);
    const std::int64_t rows = group.heads() * count;
    pack_queries(group, q, shape.q_stride, first, count, shape.scale, queries.data(), width);
    std::fill(acc.begin(), acc.begin() + rows * width, 0.0f);
    std::fill(row_max.begin(), row_max.end(), -std::numeric_limits<float>::infinity());
    std::fill(row_sum.begin(), row_sum.end(), 0.0f);

    const std::int64_t key_end = group.key_end(first + count - 1);
    for (std::int64_t key = group.key_begin(first); key < key_end; key += kKeyTile) {
      const std::int64_t keys = std::min(kKeyTile, key_end - key), columns = padded(keys);
      pack_keys(group, k, key, keys, key_tile.data(), width);
      transpose(key_tile.data(), width, dim, keys_transposed.data());
      pack_keys(group, v, key, keys, value_tile.data(), width);
      score_tile(group, queries.data(), count, first, key, keys, keys_transposed.data(), width, scores.data(), nullptr);
      for (std::int64_t r = 0; r < rows; ++r) {
        float* s = scores.data() + r * kKeyTile;
        float highest = row_max[r];
        for (std::int64_t j = 0; j < columns; ++j) highest = std::max(highest, s[j]);
        // A query that sees nothing of this tile and saw nothing before: its maximum is still −inf.
        const float shift = highest == -std::numeric_limits<float>::infinity() ? 0.0f : highest;
        const float rescale = exp_fp32(row_max[r] - shift);
        float lanes[kTileColumns] = {};
        for (std::int64_t j = 0; j < columns; j += kTileColumns) {
          for (std::int64_t l = 0; l < kTileColumns; ++l) {
            s[j + l] = exp_fp32(s[j + l] - shift);
            lanes[l] += s[j + l];
          }
        }
        float sum = 0.0f;
        for (const float lane : lanes) sum += lane;
        row_sum[r] = row_sum[r] * rescale + sum;
        row_max[r] = highest;
        if (rescale != 1.0f) {
          for (std::int64_t d = 0; d < width; ++d) acc[r * width + d] *= rescale;
        }
      }
      tile_product(rows, width, keys, scores.data(), kKeyTile, 1, value_tile.data(), width, acc.data(), width);
    }

    for (std::int64_t g = 0; g < group.heads(); ++g) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t r = g * count + i, row = group.document.q_begin + first + i;
        const std::int64_t head = group.kv_head * group.heads() + g;
        T* target = out + (row * shape.heads + head) * dim;
        const float inverse = 1.0f / row_sum[r];
        for (std::int64_t d = 0; d < dim; ++d) target[d] = from_float<T>(acc[r * width + d] * inverse);
        log_sum_exp[row * shape.heads + head] = row_max[r] + std::log(row_sum[r]);
      }
    }
  }
}

template <typename T>
void backward_group(const Group& group, const AttentionSaved<T>& saved, T* dq, T* dk, T* dv) {
  const AttentionShape& shape = group.shape;
  const std::int64_t dim = shape.head_dim, width = padded(dim), per_tile = group.queries_per_tile();
  const std::int64_t heads = group.heads(), max_rows = heads * per_tile, q_rows = group.document.q_rows;
  const std::int64_t out_stride = shape.heads * dim;

  // The whole document's queries and output gradients in fp32, tile by tile, and the gradient they receive.
  std::vector<float> queries(q_rows * heads * width), d_out(q_rows * heads * width), d_queries(q_rows * heads * width);
  std::vector<float> delta(q_rows * heads), lse(q_rows * heads);
  for (std::int64_t first = 0; first < q_rows; first += per_tile) {
    const std::int64_t count = std::min(per_tile, q_rows - first), base = first * heads;
    pack_queries(group, saved.q, shape.q_stride, first, count, shape.scale, queries.data() + base * width, width);
    pack_queries(group, saved.d_out, out_stride, first, count, 1.0f, d_out.data() + base * width, width);
    for (std::int64_t g = 0; g < heads; ++g) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t r = base + g * count + i, row = group.document.q_begin + first + i;
        const std::int64_t head = group.kv_head * heads + g;
        const T* out = saved.out + (row * shape.heads + head) * dim;
        float dot = 0.0f;
        for (std::int64_t d = 0; d < dim; ++d) dot += to_float(out[d]) * d_out[r * width + d];
        delta[r] = dot;
        lse[r] = saved.log_sum_exp[row * shape.heads + head];
      }
    }
  }

  std::vector<float> key_tile(kKeyTile * width), keys_transposed(dim * kKeyTile), value_tile(kKeyTile * width);
  std::vector<float> values_transposed(dim * kKeyTile), d_keys(kKeyTile * width), d_values(kKeyTile * width);
  std::vector<float> p(max_rows * kKeyTile), dp(max_rows * kKeyTile),
      slope(shape.softcap > 0 ? max_rows * kKeyTile : 0);

  for (std::int64_t key = 0; key < group.document.k_rows; key += kKeyTile) {
    const std::int64_t keys = std::min(kKeyTile, group.document.k_rows - key), columns = padded(keys);
    pack_keys(group, saved.k, key, keys, key_tile.data(), width);
    transpose(key_tile.data(), width, dim, keys_transposed.data());
    pack_keys(group, saved.v, key, keys, value_tile.data(), width);
    transpose(value_tile.data(), width, dim, values_transposed.data());
    std::fill(d_keys.begin(), d_keys.end(), 0.0f);
    std::fill(d_values.begin(), d_values.end(), 0.0f);

    for (std::int64_t first = 0; first < q_rows; first += per_tile) {
      const std::int64_t count = std::min(per_tile, q_rows - first), rows = heads * count, base = first * heads;
      if (group.key_end(first + count - 1) <= key || group.key_begin(first) >= key + keys) continue;
      const float* tile_queries = queries.data() + base * width;
      const float* tile_d_out = d_out.data() + base * width;
      score_tile(group, tile_queries, count, first, key, keys, keys_transposed.data(), width, p.data(),
                 slope.empty() ? nullptr : slope.data());
      for (std::int64_t r = 0; r < rows; ++r) {
        float* row = p.data() + r * kKeyTile;
        const float shift = lse[base + r];
        for (std::int64_t j = 0; j < columns; ++j) row[j] = exp_fp32(row[j] - shift);
        std::fill(dp.data() + r * kKeyTile, dp.data() + r * kKeyTile + columns, 0.0f);
      }
      tile_product(keys, width, rows, p.data(), 1, kKeyTile, tile_d_out, width, d_values.data(), width);
      tile_product(rows, columns, dim, tile_d_out, width, 1, values_transposed.data(), kKeyTile, dp.data(), kKeyTile);
      for (std::int64_t r = 0; r < rows; ++r) {
        float* d_score = dp.data() + r * kKeyTile;
        const float* row = p.data() + r * kKeyTile;
        for (std::int64_t j = 0; j < columns; ++j) d_score[j] = row[j] * (d_score[j] - delta[base + r]);
        if (!slope.empty()) {
          for (std::int64_t j = 0; j < columns; ++j) d_score[j] *= slope[r * kKeyTile + j];
        }
      }
      tile_product(rows, width, keys, dp.data(), kKeyTile, 1, key_tile.data(), width, d_queries.data() + base * width,
                   width);
      tile_product(keys, width, rows, dp.data(), 1, kKeyTile, tile_queries, width, d_keys.data(), width);
    }

    for (std::int64_t j = 0; j < keys; ++j) {
      const std::int64_t at = (group.document.k_begin + key + j) * shape.kv_stride + group.kv_head * dim;
      for (std::int64_t d = 0; d < dim; ++d) {
        dk[at + d] = from_float<T>(d_keys[j * width + d]);
        dv[at + d] = from_float<T>(d_values[j * width + d]);
      }
    }
  }

  for (std::int64_t first = 0; first < q_rows; first += per_tile) {
    const std::int64_t count = std::min(per_tile, q_rows - first);
    for (std::int64_t g = 0; g < heads; ++g) {
      for (std::int64_t i = 0; i < count; ++i) {
        const float* row = d_queries.data() + (first * heads + g * count + i) * width;
        T* target = dq + (group.document.q_begin + first + i) * shape.q_stride + (group.kv_head * heads + g) * dim;
        for (std::int64_t d = 0; d < dim; ++d) target[d] = from_float<T>(row[d] * shape.scale);
      }
    }
  }
}

// Groups do not share an output element, so any thread may take any of them.
template <typename F>
void for_each_group(const AttentionShape& shape, std::span<const AttentionDocument> documents, F run) {
  const auto groups = static_cast<std::int64_t>(documents.size()) * shape.kv_heads;
  FirstException failed;  // no memory for a long document
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < groups; ++i) {
    failed.guard([&] {
      run(Group{shape, documents[static_cast<std::size_t>(i / shape.kv_heads)], i % shape.kv_heads});
    });
  }
  failed.rethrow();
}

}  // namespace

template <typename T>
void attention_forward(const AttentionShape& shape, std::span<const AttentionDocument> documents, const T* q,
                       const T* k, const T* v, T* out, float* log_sum_exp) {
  for_each_group(shape, documents, [&](const Group& group) { forward_group(group, q, k, v, out, log_sum_exp); });
}

template <typename T>
void attention_backward(const AttentionShape& shape, std::span<const AttentionDocument> documents,
                        const AttentionSaved<T>& saved, T* dq, T* dk, T* dv) {
  for_each_group(shape, documents, [&](const Group& group) { backward_group(group, saved, dq, dk, dv); });
}

template void attention_forward(const AttentionShape&, std::span<const AttentionDocument>, const float*, const float*,
                                const float*, float*, float*);
template void attention_forward(const AttentionShape&, std::span<const AttentionDocument>, const Bf16*, const Bf16*,
                                const Bf16*, Bf16*, float*);
template void attention_backward(const AttentionShape&, std::span<const AttentionDocument>,
                                 const AttentionSaved<float>&, float*, float*, float*);
template void attention_backward(const AttentionShape&, std::span<const AttentionDocument>, const AttentionSaved<Bf16>&,
                                 Bf16*, Bf16*, Bf16*);

}  // namespace cadre::kernels
