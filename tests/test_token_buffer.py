"""Memory that stays where it is while tokens come and go."""

import torch

from deepforcing.token_buffer import TokenBuffer


def filled(rows: int, tokens: int, room: int) -> tuple[TokenBuffer, torch.Tensor]:
    x = torch.randn(rows, tokens, 2, 3, generator=torch.Generator().manual_seed(0))
    buffer = TokenBuffer(x, room)
    buffer.first(tokens).copy_(x)
    return buffer, x


def test_each_row_keeps_tokens_of_its_own_where_they_were():
    buffer, x = filled(rows=2, tokens=5, room=8)
    index = torch.tensor([[0, 2, 4], [1, 2, 3]])
    place = buffer.first(3).data_ptr()
    buffer.keep(index)
    assert torch.equal(buffer.first(3), torch.stack([x[0, index[0]], x[1, index[1]]]))
    assert buffer.first(3).data_ptr() == place == buffer.first(8).data_ptr()


def test_tokens_are_taken_in_any_order_and_more_than_once():
    buffer, x = filled(rows=1, tokens=4, room=4)
    assert torch.equal(buffer.taken(torch.tensor([[3, 0, 0, 1, 2]])), x[:, [3, 0, 0, 1, 2]])


def test_it_grows_where_there_is_too_little_room_and_keeps_what_it_holds():
    buffer, x = filled(rows=2, tokens=4, room=4)
    assert torch.equal(buffer.first(9)[:, :4], x) and buffer.first(9).shape == (2, 9, 2, 3)


def test_strides_are_the_same_whatever_the_length():
    buffer, _ = filled(rows=2, tokens=4, room=9)
    assert len({buffer.first(n).stride() for n in range(1, 10)}) == 1
