#include "trainer/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace cadre::kernels {
namespace {

struct Case {
  std::string name;
  AttentionShape shape;
  std::vector<AttentionDocument> documents;
};

std::vector<AttentionDocument> documents_of(const std::vector<std::int64_t>& lengths) {
  std::vector<AttentionDocument> result;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    result.push_back({begin, length, begin, length});
    begin += length;
  }
  return result;
}

std::vector<Case> cases() {
  const auto shape = [](std::int64_t heads, std::int64_t kv, std::int64_t dim, float softcap, std::int64_t window) {
    return AttentionShape{heads,   kv,    dim, heads * dim, kv * dim, 1.0f / std::sqrt(static_cast<float>(dim)),
                          softcap, window};
  };
  return {{"one token", shape(2, 1, 8, 0, 0), documents_of({1})},
          {"several documents", shape(4, 2, 8, 0, 0), documents_of({3, 1, 17, 5})},
          {"longer than a key tile", shape(2, 2, 16, 0, 0), documents_of({200, 70})},
          {"window", shape(4, 1, 8, 0, 9), documents_of({100, 5})},
          {"window over tiles", shape(2, 1, 24, 0, 70), documents_of({300})},
          {"softcap", shape(2, 1, 8, 2.0f, 0), documents_of({40, 90})},
          {"softcap and window", shape(6, 2, 32, 5.0f, 33), documents_of({150})},
          {"cached keys", shape(4, 2, 8, 0, 0), {{0, 2, 0, 90}}},
          {"cached keys and window", shape(4, 2, 8, 0, 16), {{0, 1, 0, 130}}}};
}

struct Data {
  std::vector<float> q, k, v, d_out;
};

std::int64_t rows_of(const Case& c, bool queries) {
  std::int64_t rows = 0;
  for (const AttentionDocument& d : c.documents) {
    rows = std::max(rows, queries ? d.q_begin + d.q_rows : d.k_begin + d.k_rows);
  }
  return rows;
}

Data random_data(const Case& c) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  const auto fill = [&](std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = normal(generator);
    return values;
  };
  const std::int64_t q = rows_of(c, true) * c.shape.q_stride, k = rows_of(c, false) * c.shape.kv_stride;
  return {fill(q), fill(k), fill(k), fill(q)};
}

// Straight from the definition, in fp64: output, and gradients by the chain rule over full score rows.
struct Reference {
  std::vector<double> out, dq, dk, dv;
};

Reference reference(const Case& c, const Data& data) {
  const AttentionShape& s = c.shape;
  Reference r{std::vector<double>(data.q.size()), std::vector<double>(data.q.size()),
              std::vector<double>(data.k.size()), std::vector<double>(data.k.size())};
  for (const AttentionDocument& d : c.documents) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t kv_head = h / (s.heads / s.kv_heads);
      for (std::int64_t i = 0; i < d.q_rows; ++i) {
        const std::int64_t position = d.k_rows - d.q_rows + i;
        const std::int64_t first = s.window > 0 ? std::max<std::int64_t>(0, position - s.window + 1) : 0;
        const float* q = &data.q[static_cast<std::size_t>((d.q_begin + i) * s.q_stride + h * s.head_dim)];
        const auto k_at = [&](std::int64_t j) {
          return static_cast<std::size_t>((d.k_begin + j) * s.kv_stride + kv_head * s.head_dim);
        };
        std::vector<double> p, slope;
        double sum = 0;
        for (std::int64_t j = first; j <= position; ++j) {
          double score = 0;
          for (std::int64_t x = 0; x < s.head_dim; ++x)
            score += double{q[x]} * data.k[k_at(j) + static_cast<std::size_t>(x)];
          score *= s.scale;
          double derivative = 1;
          if (s.softcap > 0) {
            const double t = std::tanh(score / s.softcap);
            score = s.softcap * t;
            derivative = 1 - t * t;
          }
          p.push_back(std::exp(score));
          slope.push_back(derivative);
          sum += p.back();
        }
        const std::size_t at = static_cast<std::size_t>((d.q_begin + i) * s.q_stride + h * s.head_dim);
        double delta = 0;
        std::vector<double> dp(p.size());
        for (std::size_t j = 0; j < p.size(); ++j) {
          p[j] /= sum;
          for (std::size_t x = 0; x < static_cast<std::size_t>(s.head_dim); ++x) {
            const std::size_t v = k_at(first + static_cast<std::int64_t>(j)) + x;
            r.out[at + x] += p[j] * data.v[v];
            dp[j] += double{data.d_out[at + x]} * data.v[v];
            r.dv[v] += p[j] * data.d_out[at + x];
          }
          delta += p[j] * dp[j];
        }
        for (std::size_t j = 0; j < p.size(); ++j) {
          const double ds = p[j] * (dp[j] - delta) * slope[j] * s.scale;
          for (std::size_t x = 0; x < static_cast<std::size_t>(s.head_dim); ++x) {
            const std::size_t k = k_at(first + static_cast<std::int64_t>(j)) + x;
            r.dq[at + x] += ds * data.k[k];
            r.dk[k] += ds * q[x];
          }
        }
      }
    }
  }
  return r;
}

double largest_difference(const std::vector<float>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

TEST(Attention, EqualsItsDefinition) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const Data data = random_data(c);
    const Reference expected = reference(c, data);
    std::vector<float> out(data.q.size()), lse(static_cast<std::size_t>(rows_of(c, true) * c.shape.heads));
    attention_forward(c.shape, c.documents, data.q.data(), data.k.data(), data.v.data(), out.data(), lse.data());
    EXPECT_LT(largest_difference(out, expected.out), 2e-6);
    std::vector<float> dq(data.q.size()), dk(data.k.size()), dv(data.k.size());
    attention_backward<float>(c.shape, c.documents,
                              {data.q.data(), data.k.data(), data.v.data(), out.data(), lse.data(), data.d_out.data()},
                              dq.data(), dk.data(), dv.data());
    EXPECT_LT(largest_difference(dq, expected.dq), 2e-5);
    EXPECT_LT(largest_difference(dk, expected.dk), 5e-5);
    EXPECT_LT(largest_difference(dv, expected.dv), 5e-5);
  }
}

TEST(Attention, ADocumentDoesNotChangeItsNeighbour) {
  const AttentionShape shape{2, 1, 8, 16, 8, 0.35f, 0, 0};
  const Case both{"", shape, documents_of({30, 50})};
  const Data data = random_data(both);
  std::vector<float> out(data.q.size()), lse(160), alone(data.q.size()), alone_lse(160);
  attention_forward(shape, both.documents, data.q.data(), data.k.data(), data.v.data(), out.data(), lse.data());
  const std::vector<AttentionDocument> second{{30, 50, 30, 50}};
  attention_forward(shape, second, data.q.data(), data.k.data(), data.v.data(), alone.data(), alone_lse.data());
  EXPECT_TRUE(std::equal(out.begin() + 30 * 16, out.end(), alone.begin() + 30 * 16));
}

}  // namespace
}  // namespace cadre::kernels
